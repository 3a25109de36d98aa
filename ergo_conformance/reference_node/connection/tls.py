"""Certificates and TLS contexts: self-signed pairs, PEM files, fingerprints. Reads and writes files: start-up only."""

import datetime as dt
import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...errors import UsageError
from ..api.validation import check_host

if TYPE_CHECKING:
    from cryptography import x509

LIFETIME = dt.timedelta(days=365)


class KeyPair(NamedTuple):
    """A certificate (leaf first, then its chain) and its private key, both PEM."""

    certificate: bytes
    key: bytes


def self_signed(hostnames: Iterable[str]) -> KeyPair:
    """Makes an ECDSA P-256 key and a certificate for these names and IP addresses, valid for a year.

    UsageError for a name that no host can have.
    """
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
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)  # usable as --tls-ca
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
        check_host("the certificate's host", name)
        return x509.DNSName(name.encode("idna").decode())


def load(certificate: str, key: str) -> KeyPair:
    """Reads a pair from two PEM files. UsageError if they can't be read or don't match."""
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
    """Returns the SHA-1 of the DER of the first certificate, 20 bytes: the fingerprint of EHS-TLS-1."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return fingerprint_of_der(x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER))


def fingerprint_of_der(der: bytes) -> bytes:
    """Returns the SHA-1 of a certificate in DER, 20 bytes."""
    return hashlib.sha1(
        der, usedforsecurity=False
    ).digest()  # the protocol demands SHA-1; the digest around it is SHA-256


class CertManager:
    """The certificate of an acceptor; it may be replaced while the acceptor listens (gen.CertManager).

    Open sockets keep the old certificate; new sockets get the new one, and their handshakes prove its fingerprint.
    """

    def __init__(self, pair: KeyPair) -> None:
        """UsageError if `pair` is not a certificate and its key in PEM."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.update(pair)

    def update(self, pair: KeyPair) -> None:
        """Replaces the certificate. UsageError, and the old one stays, if it is not a certificate and its key."""
        try:
            server_context(pair)  # a context that fails halfway loses its old pair
            _load_into(self.context, pair)
            self.fingerprint = fingerprint_sha1(pair.certificate)
        except (ssl.SSLError, ValueError):
            raise UsageError("not a certificate and its key in PEM") from None
        self.pair = pair


def manager_of(tls: KeyPair | CertManager | None) -> CertManager | None:
    """Returns a manager for a pair; a given manager may be shared. UsageError for a wrong pair."""
    return CertManager(tls) if isinstance(tls, KeyPair) else tls


def server_context(pair: KeyPair) -> ssl.SSLContext:
    """Makes a TLS context for an acceptor. It asks for no client certificate (EHS-TLS-4)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_into(context, pair)
    return context


def _load_into(context: ssl.SSLContext, pair: KeyPair) -> None:
    with tempfile.TemporaryDirectory() as directory:  # mode 700; OpenSSL only reads files
        certificate, key = Path(directory, "cert.pem"), Path(directory, "key.pem")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key, password="")  # never ask for one on the terminal


def client_context(ca: str | None = None) -> ssl.SSLContext:
    """Makes a TLS context for a dialer. Verifies the PKI only with a CA file; the handshake verifies the fingerprint."""
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
    """Makes a TLS context that verifies host name and signature. `ca`: PEM file; None: the system's CAs. UsageError."""
    return client_context(ca) if ca is not None else ssl.create_default_context()
