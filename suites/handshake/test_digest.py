"""Digests of the handshake: proof of the cookie and proof of the TLS certificate."""

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce
from ergo_conformance.model.show import show
from ergo_conformance.spec.ergo.ehs import digest
from ergo_conformance.testing import Context, Dialer, case


def wrong_hello(dialer: Dialer, how: str) -> Hello:
    """Returns a Hello whose digest does not prove the cookie."""
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
        "longer": good.Digest + "0",
        "half": good.Digest[:32],
    }
    return good._replace(Digest=wrong[how])


@pytest.mark.parametrize(
    "how",
    ["wrong_cookie", "no_cookie", "swapped_inputs", "other_salt", "empty", "upper_case", "cut", "longer", "half"],
)
@case("EHS-DIG-1", "EHS-DIG-10", "EHS-AST-2", "ROB-EHS-4", "ROB-EHS-5", hostile=True)
async def test_hello_refused(ergo_context: Context, how: str) -> None:
    """An acceptor closes the socket without a reply when the digest of Hello is wrong ({how})."""
    await ergo_context.expect_refusal(lambda dialer: dialer.send(wrong_hello(dialer, how)))


@case("EHS-DIG-2", "EHS-DIG-1", "EHS-AST-2", "EHS-MSG-1")
async def test_hello_answered(ergo_context: Context) -> None:
    """An acceptor answers a valid Hello with a Hello whose digest proves the cookie over both salts."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-2", "ROB-EHS-11")
async def test_salts_are_fresh(ergo_context: Context) -> None:
    """An acceptor uses a new salt in every Hello, even when it answers the same bytes."""
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
    dialer.check(salts[0] != salts[1], f"the salt {show(salts[0])} used twice", "a new salt in every Hello")
    dialer.check(len(salts[0]) >= 16, f"a salt of {len(salts[0])} characters", "a salt of at least 16 characters")


@case("EHS-DIG-4", "ROB-EHS-11", hostile=True)
async def test_replayed_introduce(ergo_context: Context) -> None:
    """An acceptor closes the socket when an Introduce of an earlier handshake is replayed: its digest has an old salt."""
    first = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    recorded = first.introduce()
    first.socket.abort()
    second = await ergo_context.dial(recorded.Node, HandshakeState.HELLO_ANSWERED)
    second.send(recorded)
    await second.expect_close()


@pytest.mark.parametrize("length", [0, 1, 33, 255, 4000], ids=lambda n: f"{n}_characters")
@case("EHS-DIG-11")
async def test_salt_of_any_length(ergo_context: Context, length: int) -> None:
    """An acceptor accepts a dialer's salt of any length, including an empty one."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(Salt=dialer.token(length)))
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-1", "EHS-DIG-2")
async def test_salt_of_any_bytes(ergo_context: Context) -> None:
    """An acceptor accepts a salt with any bytes and computes the digest over these bytes."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(Salt="сіль:\x00:\udcff" + dialer.token(16)))
    dialer.check_hello(await dialer.expect(Hello))


@case("EHS-DIG-12")
async def test_certificate_digest_of_a_dialer(ergo_context: Context) -> None:
    """An acceptor ignores the DigestCert of a dialer's Hello."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello(DigestCert="ignored by the acceptor"))
    dialer.check_hello(await dialer.expect(Hello))


def wrong_introduce(dialer: Dialer, how: str) -> Introduce:
    """Returns an Introduce whose digest does not prove the cookie."""
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
        "cut": dialer.introduce().Digest[:-1],
        "longer": dialer.introduce().Digest + "0",
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
        "cut",
        "longer",
    ],
)
@case("EHS-DIG-4", "EHS-DIG-10", "EHS-AST-3", "ROB-EHS-4", "ROB-EHS-5", hostile=True)
async def test_introduce_refused(ergo_context: Context, how: str) -> None:
    """An acceptor closes the socket and sends no Accept, name or caches when the digest of Introduce is wrong ({how})."""
    await ergo_context.expect_refusal(
        lambda dialer: dialer.send(wrong_introduce(dialer, how)), HandshakeState.HELLO_ANSWERED
    )


@case("EHS-DIG-5", "EHS-DIG-9")
async def test_acceptors_other_digests_are_empty(ergo_context: Context) -> None:
    """The digests in the acceptor's Accept and Introduce are empty."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_accept is not None
    assert dialer.target_introduce is not None
    found = (dialer.target_accept.Digest, dialer.target_accept.DigestCert, dialer.target_introduce.Digest)
    dialer.check(found == ("", "", ""), f"{found}", "three empty strings")


@case("EHS-TLS-1", config={"tls": False})
async def test_no_certificate_over_plain_tcp(ergo_context: Context) -> None:
    """The DigestCert of the acceptor's Hello is empty over plain TCP."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    assert dialer.target_hello is not None
    cert = dialer.target_hello.DigestCert
    dialer.check(cert == "", f"DigestCert {show(cert)}", "an empty DigestCert")


@case("EHS-TLS-1", "EHS-DIG-3", config={"tls": True})
async def test_certificate_is_bound(ergo_context: Context) -> None:
    """Over TLS, the DigestCert of the acceptor's Hello proves that the presented certificate is the acceptor's own."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    hello = await dialer.expect(Hello)
    dialer.check(hello.DigestCert != "", "an empty DigestCert", "a DigestCert")
    dialer.check_hello(hello)


@case("EHS-DIG-8", "EHS-DIG-7", config={"tls": True})
async def test_certificate_is_bound_on_a_joined_link(ergo_context: Context) -> None:
    """Over TLS, the DigestCert of the Accept that answers a Join proves the certificate."""
    first, accept = await ergo_context.connected()
    dialer = await ergo_context.join(first, accept.ID)
    answer = await dialer.expect(Accept)
    dialer.check(answer.DigestCert != "", "an empty DigestCert", "a DigestCert")
    dialer.check_joined(answer)


@case("EHS-TLS-4", config={"tls": True})
async def test_no_client_certificate_needed(ergo_context: Context) -> None:
    """An acceptor requests no client certificate: a dialer without one completes the handshake."""
    await ergo_context.connected()


@case("EHS-AST-2", "EHS-AST-4", "EHS-AST-5", "EHS-DIG-2", "EHS-MSG-1", config={"tls": False})
async def test_whole_handshake(ergo_context: Context) -> None:
    """A dialer completes the handshake over plain TCP, all digests are correct, and the socket stays open."""
    dialer, _ = await ergo_context.connected()
    await dialer.expect_open(0.3)


@case("EHS-AST-2", "EHS-AST-4", "EHS-AST-5", "EHS-DIG-2", "EHS-DIG-3", "EHS-MSG-1", config={"tls": True})
async def test_whole_handshake_over_tls(ergo_context: Context) -> None:
    """A dialer completes the handshake over TLS, all digests are correct, and the socket stays open."""
    dialer, _ = await ergo_context.connected()
    await dialer.expect_open(0.3)
