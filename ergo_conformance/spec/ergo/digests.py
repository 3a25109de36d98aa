"""Explanations of wrong digests: the faulty formula that gives a received digest."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, permutations
from typing import Final

from ...model.ergo.ehs import Digest

SEPARATORS: Final = ("", " ", ",", "|", "-", "\n", ": ")
HASHES: Final = ("sha1", "md5", "sha512", "sha384", "sha3_256")
WORDS: Final = {
    "salt1": "the dialer's salt",
    "salt2": "the acceptor's salt",
    "digest1": "the digest of the dialer's Hello",
}
"""Names of parts that their rows abbreviate."""


def explain_digest(rule: Digest, given: str, facts: Mapping[str, str], fingerprint: bytes = b"") -> str:
    """Returns a sentence about a digest that is not the one of `rule`: how it was made, if a known faulty formula gives it.

    `facts`: the texts that are known, among them those that the rule names.
    """
    raw = given.encode("utf-8", "surrogateescape")
    for words, data, function in _formulas(rule, facts, fingerprint):
        found = hashlib.new(function, data, usedforsecurity=False)
        for form, text in _forms(found.hexdigest(), found.digest()):
            if text == raw:
                return f"it is {', '.join(filter(None, (words, form)))}"
    if len(given) != 2 * hashlib.sha256().digest_size:
        return f"it has {len(given)} characters, not {2 * hashlib.sha256().digest_size}"
    return "no known formula gives it: is the cookie right?"


def _forms(text: str, digest: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the ways to write a digest, with words for the wrong ones."""
    yield "", text.encode()
    yield "in upper-case hex", text.upper().encode()
    yield "as bytes in place of hex", digest
    yield "in Base64", base64.b64encode(digest)
    yield "in Base64 without padding", base64.b64encode(digest).rstrip(b"=")
    yield "in Base64 for URLs", base64.urlsafe_b64encode(digest)


def _formulas(rule: Digest, facts: Mapping[str, str], fingerprint: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yields words, input and hash function of formulas, the right one (whose output may be written wrongly) first."""
    end = fingerprint if rule.fingerprint else b""
    right = [facts[part] for part in rule.parts]
    yield "", _bytes(":".join(right)) + end, "sha256"
    yield from _parts(rule, facts, end)
    for separator in SEPARATORS:
        yield f"made with {separator!r} between its parts, not ':'", _bytes(separator.join(right)) + end, "sha256"
    for words, change in _COOKIES.items():
        changed = [change(facts[part]) if part == "cookie" else facts[part] for part in rule.parts]
        yield words, _bytes(":".join(changed)) + end, "sha256"
    if rule.fingerprint:
        for words, wrong in (
            ("made without the fingerprint", b""),
            ("made with a colon before the fingerprint", b":" + fingerprint),
            ("made with the hex of the fingerprint", fingerprint.hex().encode()),
            ("made with the hex of the fingerprint behind a colon", b":" + fingerprint.hex().encode()),
        ):
            yield words, _bytes(":".join(right)) + wrong, "sha256"
    for function in HASHES:
        yield (
            f"a digest of {function.upper().replace('SHA', 'SHA-', 1)}, not of SHA-256",
            _bytes(":".join(right)) + end,
            function,
        )


def _parts(rule: Digest, facts: Mapping[str, str], end: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yields the formulas with other parts, or with the right ones in another order."""
    wanted = _names(rule.parts)
    orders = chain.from_iterable(permutations(facts, n) for n in range(len(rule.parts) + 1, 0, -1))
    for parts in orders:
        if parts != rule.parts:
            what = "made of its parts in the order" if sorted(parts) == sorted(rule.parts) else "made of"
            words = f"{what} {_names(parts)}, not {wanted}"
            yield words, _bytes(":".join(facts[part] for part in parts)) + end, "sha256"


def _names(parts: tuple[str, ...]) -> str:
    return " : ".join(WORDS.get(part, part.replace("_", " ")) for part in parts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_COOKIES: Final[Mapping[str, Callable[[str], str]]] = {
    "made with an empty cookie": lambda _: "",
    "made with a line break behind the cookie": lambda cookie: cookie + "\n",
    "made with the cookie in quotation marks": lambda cookie: f'"{cookie}"',
    "made with the cookie in upper case": str.upper,
    "made with the cookie in lower case": str.lower,
    "made with the cookie in Latin-1": lambda cookie: cookie.encode("latin-1", "replace").decode(
        "utf-8", "surrogateescape"
    ),
}
