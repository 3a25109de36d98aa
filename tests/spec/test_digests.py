"""Explanations of wrong digests of the handshake."""

import base64
import hashlib
from itertools import permutations

import pytest

from ergo_conformance.model.ergo.ehs import Digest
from ergo_conformance.spec.ergo.digests import explain_digest
from ergo_conformance.spec.ergo.ehs import digest

FINGERPRINT = bytes(range(200, 220))
FACTS = {
    "salt1": "5a" * 32,
    "salt2": "c3" * 32,
    "digest1": "d1" * 32,
    "id": "1d" * 16,
    "salt": "7e" * 32,
    "join_digest": "0d" * 32,
    "join_salt": "05" * 32,
    "cookie": "A Cookie",
}


def sha256(*parts: str, between: str = ":", end: bytes = b"") -> str:
    return hashlib.sha256(between.join(parts).encode() + end).hexdigest()


def explained(rule: Digest, given: str) -> str:
    known = {part: FACTS[part] for part in rule.parts}
    return explain_digest(rule, given, known, FINGERPRINT)


@pytest.mark.parametrize("rule", Digest, ids=lambda rule: rule.name)
def test_parts_in_another_order_are_named(rule: Digest) -> None:
    end = FINGERPRINT if rule.fingerprint else b""
    for parts in permutations(rule.parts):
        given = sha256(*(FACTS[part] for part in parts), end=end)
        if parts != rule.parts:
            assert explained(rule, given).startswith("it is made of its parts in the order ")
    right = [FACTS[part] for part in rule.parts]
    assert explained(rule, sha256(*right[:-1], end=end)).startswith("it is made of ")


RIGHT = [FACTS[part] for part in Digest.HELLO_ACCEPTOR.parts]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (sha256(*RIGHT).upper(), "it is in upper-case hex"),
        (sha256(*reversed(RIGHT)).upper(), "it is made of its parts in the order"),
        (base64.b64encode(hashlib.sha256(":".join(RIGHT).encode()).digest()).decode(), "it is in Base64"),
        (
            hashlib.sha256(":".join(RIGHT).encode()).digest().decode("utf-8", "surrogateescape"),
            "it is as bytes in place of hex",
        ),
        (sha256(*RIGHT, between=""), "it is made with '' between its parts, not ':'"),
        (sha256(*RIGHT[:-1], ""), "it is made with an empty cookie"),
        (sha256(*RIGHT[:-1], "A Cookie\n"), "it is made with a line break behind the cookie"),
        (hashlib.sha512(":".join(RIGHT).encode()).hexdigest(), "it is a digest of SHA-512, not of SHA-256"),
        (sha256(*RIGHT[:-1], "another"), "no known formula gives it: is the cookie right?"),
        ("", "it has 0 characters, not 64"),
        ("\udcff\x00", "it has 2 characters, not 64"),
    ],
    ids=range(11),
)
def test_a_faulty_formula_is_named(given: str, words: str) -> None:
    assert explained(Digest.HELLO_ACCEPTOR, given).startswith(words)


def test_the_formula_of_another_digest_is_named_if_its_parts_are_known() -> None:
    known = {**FACTS, "salt1": "5a" * 32}
    given = digest(Digest.HELLO_DIALER, salt1=FACTS["salt1"], cookie=FACTS["cookie"])
    words = explain_digest(Digest.HELLO_ACCEPTOR, given, {k: known[k] for k in ("salt1", "salt2", "digest1", "cookie")})
    assert words == (
        "it is made of the dialer's salt : cookie, not the acceptor's salt : the digest of the dialer's Hello : cookie"
    )


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (b"", "it is made without the fingerprint"),
        (b":" + FINGERPRINT, "it is made with a colon before the fingerprint"),
        (FINGERPRINT.hex().encode(), "it is made with the hex of the fingerprint"),
    ],
    ids=["without", "colon", "hex"],
)
def test_a_wrong_use_of_the_fingerprint_is_named(end: bytes, words: str) -> None:
    right = [FACTS[part] for part in Digest.HELLO_CERT.parts]
    assert explained(Digest.HELLO_CERT, sha256(*right, end=end)) == words
