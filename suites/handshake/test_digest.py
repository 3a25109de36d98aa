"""Digests: what proves the cookie, what proves the certificate."""

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce
from ergo_conformance.peers.ergo.dialer import Dialer
from ergo_conformance.spec.ergo.ehs import digest
from ergo_conformance.testing import Context, case


def wrong_hello(dialer: Dialer, how: str) -> Hello:
    """A Hello whose digest does not prove the cookie."""
    good = dialer.hello()
    salt, cookie = good.Salt, dialer.cookie
    wrong = {
        "wrong_cookie": digest(Digest.HELLO_DIALER, salt1=salt, cookie=cookie + "x"),
        "no_cookie": digest(Digest.HELLO_DIALER, salt1=salt, cookie=""),
        "swapped_inputs": digest(Digest.HELLO_DIALER, salt1=cookie, cookie=salt),
        "other_salt": digest(Digest.HELLO_DIALER, salt1=dialer.token(64), cookie=cookie),
        "empty": "",
        "upper_case": good.Digest.upper(),
        "cut": good.Digest[:-1],
    }
    return good._replace(Digest=wrong[how])


@pytest.mark.parametrize(
    "how",
    ["wrong_cookie", "no_cookie", "swapped_inputs", "other_salt", "empty", "upper_case", "cut"],
)
@case("EHS-DIG-1", "EHS-DIG-10", "EHS-AST-2", "ROB-EHS-4", "ROB-EHS-5", hostile=True)
async def test_hello_refused(ergo_context: Context, how: str) -> None:
    """An acceptor that can't verify the first digest ({how}) closes and tells nothing of itself."""
    dialer = await ergo_context.dial()
    dialer.send(wrong_hello(dialer, how))
    await dialer.expect_close()


@case("EHS-DIG-2", "EHS-DIG-1", "EHS-AST-2", "EHS-MSG-1")
async def test_hello_answered(ergo_context: Context) -> None:
    """The acceptor's Hello proves the cookie over both salts."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-2", "ROB-EHS-11")
async def test_salts_are_fresh(ergo_context: Context) -> None:
    """Two Hellos of the acceptor never have the same salt, even in answer to the same bytes."""
    dialer = await ergo_context.dial()
    hello = dialer.hello()
    salts = []
    for _ in range(2):
        dialer.send(hello)
        dialer.salt = hello.Salt
        answer = await dialer.expect(Hello)
        dialer.check_hello(answer)
        salts.append(answer.Salt)
        dialer.socket.abort()
        dialer = await ergo_context.dial()
    dialer.check(salts[0] != salts[1], f"the salt {salts[0]!r} twice", "a new salt in every Hello")
    dialer.check(len(salts[0]) >= 16, f"a salt of {len(salts[0])} characters", "a salt that can't be guessed")


@case("EHS-DIG-4", "ROB-EHS-11", hostile=True)
async def test_replayed_introduce(ergo_context: Context) -> None:
    """An Introduce recorded in one handshake proves nothing in the next: its digest needs the new salt."""
    first = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    recorded = first.introduce()
    first.socket.abort()
    second = await ergo_context.dial(recorded.Node, HandshakeState.HELLO_ANSWERED)
    second.send(recorded)
    await second.expect_close()


@pytest.mark.parametrize("length", [0, 1, 33, 255, 4000], ids=lambda n: f"{n}_characters")
@case("EHS-DIG-11")
async def test_salt_of_any_length(ergo_context: Context, length: int) -> None:
    """A dialer's salt may have any length, none included."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(Salt=dialer.token(length)))
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-1", "EHS-DIG-2")
async def test_salt_of_any_bytes(ergo_context: Context) -> None:
    """A salt is text of any kind: digests are taken over its bytes."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(Salt="сіль:\x00:\udcff" + dialer.token(16)))
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-12")
async def test_certificate_digest_of_a_dialer(ergo_context: Context) -> None:
    """What a dialer puts into DigestCert is ignored."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(DigestCert="not looked at"))
    dialer.check_hello(await dialer.expect(Hello))


def wrong_introduce(dialer: Dialer, how: str) -> Introduce:
    """An Introduce whose digest does not prove the cookie again."""
    assert dialer.target_hello is not None
    salt2, cookie = dialer.target_hello.Salt, dialer.cookie
    wrong = {
        "wrong_cookie": digest(Digest.INTRODUCE, salt2=salt2, cookie=cookie + "x"),
        "own_salt": digest(Digest.INTRODUCE, salt2=dialer.salt, cookie=cookie),
        "swapped_inputs": digest(Digest.INTRODUCE, salt2=cookie, cookie=salt2),
        "digest_of_hello": digest(Digest.HELLO_DIALER, salt1=dialer.salt, cookie=cookie),
        "digest_of_the_acceptor": dialer.target_hello.Digest,
        "empty": "",
        "upper_case": dialer.introduce().Digest.upper(),
    }
    return dialer.introduce(Digest=wrong[how])


@pytest.mark.parametrize(
    "how",
    [
        "wrong_cookie",
        "own_salt",
        "swapped_inputs",
        "digest_of_hello",
        "digest_of_the_acceptor",
        "empty",
        "upper_case",
    ],
)
@case("EHS-DIG-4", "EHS-DIG-10", "EHS-AST-3", "ROB-EHS-4", "ROB-EHS-5", hostile=True)
async def test_introduce_refused(ergo_context: Context, how: str) -> None:
    """An Introduce with a wrong digest ({how}) is answered by nothing: no Accept, no name, no caches."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send(wrong_introduce(dialer, how))
    await dialer.expect_close()


@case("EHS-DIG-5", "EHS-DIG-9")
async def test_acceptors_other_digests_are_empty(ergo_context: Context) -> None:
    """The acceptor's Accept and Introduce carry no digests."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_accept is not None
    assert dialer.target_introduce is not None
    found = (dialer.target_accept.Digest, dialer.target_accept.DigestCert, dialer.target_introduce.Digest)
    dialer.check(found == ("", "", ""), f"{found}", "three empty texts")


@case("EHS-TLS-1", config={"tls": False})
async def test_no_certificate_over_plain_tcp(ergo_context: Context) -> None:
    """Over plain TCP the DigestCert of the acceptor's Hello is empty."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    assert dialer.target_hello is not None
    cert = dialer.target_hello.DigestCert
    dialer.check(cert == "", f"DigestCert {cert!r}", "an empty DigestCert")


@case("EHS-TLS-1", "EHS-DIG-3", config={"tls": True})
async def test_certificate_is_bound(ergo_context: Context) -> None:
    """Over TLS the DigestCert of the acceptor's Hello proves that the certificate we saw is its own."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    hello = await dialer.expect(Hello)
    dialer.check(hello.DigestCert != "", "an empty DigestCert", "a DigestCert")
    dialer.check_hello(hello)


@case("EHS-DIG-8", "EHS-DIG-7", config={"tls": True})
async def test_certificate_is_bound_on_a_joined_link(ergo_context: Context) -> None:
    """Over TLS the Accept that answers a Join proves the certificate, too."""
    first, accept = await ergo_context.connected()
    dialer = await ergo_context.join(first, accept.ID)
    answer = await dialer.expect(Accept)
    dialer.check(answer.DigestCert != "", "an empty DigestCert", "a DigestCert")
    dialer.check_joined(answer)


@case("EHS-TLS-4", config={"tls": True})
async def test_no_client_certificate_needed(ergo_context: Context) -> None:
    """The acceptor asks for no client certificate: a dialer without one completes the handshake."""
    await ergo_context.connected()


@case("EHS-AST-2", "EHS-AST-4", "EHS-AST-5", "EHS-DIG-2", "EHS-MSG-1", config={"tls": False})
async def test_whole_handshake(ergo_context: Context) -> None:
    """A good dialer completes the handshake over plain TCP, all digests checked, and the link stays."""
    dialer, _ = await ergo_context.connected()
    await dialer.expect_open(0.3)


@case("EHS-AST-2", "EHS-AST-4", "EHS-AST-5", "EHS-DIG-2", "EHS-DIG-3", "EHS-MSG-1", config={"tls": True})
async def test_whole_handshake_over_tls(ergo_context: Context) -> None:
    """A good dialer completes the handshake over TLS, all digests checked, and the link stays."""
    dialer, _ = await ergo_context.connected()
    await dialer.expect_open(0.3)
