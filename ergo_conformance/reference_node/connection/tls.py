"""Certificates of TLS acceptors: made, read, told by their fingerprint. Start-up only: this reads and writes files."""

import datetime as dt
import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

LIFETIME = dt.timedelta(days=365)


class KeyPair(NamedTuple):
    """A certificate (leaf first, chain behind it) and its private key, both PEM."""

    certificate: bytes
    key: bytes


def self_signed(hostnames: Iterable[str]) -> KeyPair:
    """A new ECDSA P-256 key and a certificate over it for these names and IP addresses, good for a year."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ergo-conformance reference node")])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)  # clocks differ
    certificate = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), x509.random_serial_number(), start, start + LIFETIME
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in hostnames]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)  # so that it can be a --tls-ca
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def load(certificate: str, key: str) -> KeyPair:
    """The pair in two PEM files. UsageError if they can't be read or don't belong together."""
    try:
        pair = KeyPair(Path(certificate).read_bytes(), Path(key).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from None
    try:
        server_context(pair)
    except (ssl.SSLError, ValueError):
        raise UsageError(f"{certificate} and {key} are not a certificate and its key in PEM") from None
    return pair


def fingerprint_sha1(pem: bytes) -> bytes:
    """SHA-1 of the DER of the first certificate, 20 bytes: what the handshake binds (EHS-TLS-1)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return fingerprint_of_der(x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER))


def fingerprint_of_der(der: bytes) -> bytes:
    """SHA-1 of a certificate in DER, 20 bytes."""
    return hashlib.sha1(der, usedforsecurity=False).digest()  # SHA-1 is what the protocol says; SHA-256 goes around it


class CertManager:
    """The certificate of an acceptor, which may be replaced while it listens (gen.CertManager).

    Links that are open keep what they began with; a new one is shown the new certificate, and its handshake proves that.
    """

    def __init__(self, pair: KeyPair) -> None:
        """`pair`: PEM. UsageError if it is no certificate and its key."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.update(pair)

    def update(self, pair: KeyPair) -> None:
        """Takes another certificate. UsageError, and the old one stays, if it is no certificate and its key."""
        try:
            server_context(pair)  # a context that fails halfway has lost what it had
            _load_into(self.context, pair)
            self.fingerprint = fingerprint_sha1(pair.certificate)
        except (ssl.SSLError, ValueError):
            raise UsageError("not a certificate and its key in PEM") from None
        self.pair = pair


def manager_of(tls: KeyPair | CertManager | None) -> CertManager | None:
    """What keeps a certificate; it may be shared. UsageError if it is none."""
    return CertManager(tls) if isinstance(tls, KeyPair) else tls


def server_context(pair: KeyPair) -> ssl.SSLContext:
    """TLS for an acceptor. Nothing is asked of the dialer: there are no client certificates (EHS-TLS-4)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_into(context, pair)
    return context


def _load_into(context: ssl.SSLContext, pair: KeyPair) -> None:
    with tempfile.TemporaryDirectory() as directory:  # mode 700; OpenSSL reads files only
        certificate, key = Path(directory, "cert.pem"), Path(directory, "key.pem")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key, password="")  # never ask the terminal for one


def client_context(ca: str | None = None) -> ssl.SSLContext:
    """TLS for a dialer. The PKI is verified only against a given CA file, the fingerprint by the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError):
            raise UsageError(f"cannot read the CA certificates in {ca}") from None
        return context
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verifying_context(ca: str | None) -> ssl.SSLContext:
    """TLS for a dialer that wants a certificate for the name it dials, signed by `ca` (PEM file; None: by one of the system's).

    UsageError if the file can't be read.
    """
    return client_context(ca) if ca is not None else ssl.create_default_context()
