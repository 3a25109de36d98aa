"""Further sockets of a connection: Join, its digests, and its effect on the connection."""

import asyncio

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Digest, HandshakeState
from ergo_conformance.model.show import show
from ergo_conformance.spec.ergo.ehs import digest, read_frame
from ergo_conformance.testing import Context, Dialer, case


async def pooled(ergo_context: Context) -> tuple[Dialer, Accept]:
    """Opens a connection whose acceptor announces a pool of at least two sockets."""
    first, accept = await ergo_context.connected()
    if accept.PoolSize < 2:
        ergo_context.skip("the target announces a pool of one socket")
    return first, accept


@case("EHS-AST-4", "ROB-EHS-11")
async def test_connection_id(ergo_context: Context) -> None:
    """An acceptor assigns a new, unguessable id to every connection."""
    (_, one), (_, two) = await ergo_context.connected(), await ergo_context.connected()
    dialer = await ergo_context.dial()
    dialer.check(one.ID != two.ID, f"the id {show(one.ID)} used twice", "a new id for every connection")
    dialer.check(len(one.ID) >= 16, f"the id {show(one.ID)}", "an id of at least 16 characters")


@case("EHS-AST-4", config={"pool": 1})
async def test_pool_of_one(ergo_context: Context) -> None:
    """An acceptor configured for one socket announces a pool of 1."""
    _, accept = await ergo_context.connected()
    dialer = await ergo_context.dial()
    dialer.check(accept.PoolSize == 1, f"PoolSize {accept.PoolSize}", "PoolSize 1")


@case("EHS-AST-4", config={"pool": 5})
async def test_pool_of_five(ergo_context: Context) -> None:
    """An acceptor configured for five sockets announces a pool of 5 and accepts four Joins."""
    first, accept = await ergo_context.connected()
    first.check(accept.PoolSize == 5, f"PoolSize {accept.PoolSize}", "PoolSize 5")
    sockets = [await ergo_context.join(first, accept.ID) for _ in range(4)]
    for socket in sockets:
        socket.check_joined(await socket.expect(Accept))
    for socket in sockets:
        await socket.expect_open(0.1)


@case("EHS-AST-4", "EHS-JOIN-10")
async def test_pool_addresses(ergo_context: Context) -> None:
    """An acceptor announces the addresses for further sockets in the form HOST:PORT."""
    _, accept = await ergo_context.connected()
    dialer = await ergo_context.dial()
    addresses = accept.PoolDSN or []
    good = bool(addresses) and all(a.rpartition(":")[2].isdigit() and a.rpartition(":")[0] for a in addresses)
    dialer.check(good, f"PoolDSN {addresses}", "at least one HOST:PORT")


@case("EHS-JOIN-2", "EHS-DIG-6", "EHS-DIG-7", "EHS-JOIN-8", "EHS-AST-1")
async def test_join(ergo_context: Context) -> None:
    """An acceptor answers a valid Join with an Accept that contains only the right digest, and keeps the socket open."""
    first, accept = await pooled(ergo_context)
    dialer = await ergo_context.join(first, accept.ID)
    answer = await dialer.expect(Accept)
    dialer.check_joined(answer)
    rest = (answer.ID, answer.PoolSize, answer.PoolDSN or None)
    dialer.check(rest == ("", 0, None), f"ID, PoolSize, PoolDSN {rest}", "all three empty")
    await dialer.expect_open(0.5)


@case("EHS-JOIN-2", "EHS-DIG-6")
async def test_join_with_an_empty_salt(ergo_context: Context) -> None:
    """An acceptor accepts a Join with an empty salt if the digest is right."""
    first, accept = await pooled(ergo_context)
    dialer = await ergo_context.dial(first.name)
    dialer.send(dialer.join(accept.ID, Salt=""))
    dialer.check_joined(await dialer.expect(Accept))


def wrong_digest(dialer: Dialer, connection_id: str, how: str) -> str:
    good = dialer.join(connection_id)
    wrong = {
        "wrong_cookie": digest(Digest.JOIN, id=connection_id, salt=good.Salt, cookie=dialer.cookie + "x"),
        "swapped_inputs": digest(Digest.JOIN, id=good.Salt, salt=connection_id, cookie=dialer.cookie),
        "digest_of_hello": digest(Digest.HELLO_DIALER, salt1=good.Salt, cookie=dialer.cookie),
        "empty": "",
        "upper_case": good.Digest.upper(),
        "cut": good.Digest[:-1],
        "longer": good.Digest + "0",
        "without_the_id": digest(Digest.JOIN, id="", salt=good.Salt, cookie=dialer.cookie),
    }
    return wrong[how]


WRONG = ["wrong_cookie", "swapped_inputs", "digest_of_hello", "empty", "upper_case", "cut", "longer", "without_the_id"]


@pytest.mark.parametrize("how", WRONG)
@case("EHS-JOIN-3", "EHS-DIG-6", "EHS-DIG-10", "ROB-EHS-5", hostile=True)
async def test_join_refused(ergo_context: Context, how: str) -> None:
    """An acceptor closes the socket without a reply when the digest of Join is wrong ({how}); the connection stays open."""
    first, accept = await ergo_context.connected()
    await ergo_context.expect_refusal(
        lambda dialer: dialer.send(dialer.join(accept.ID, Digest=wrong_digest(dialer, accept.ID, how))), name=first.name
    )
    await first.expect_open(0.1)


async def closed_after_accept(dialer: Dialer) -> None:
    """Checks that the socket is closed after at most one Accept."""
    await dialer.expect_close(bytes_allowed=True)
    received = dialer.socket.transcript.bytes_of("received")
    if received:
        message = getattr(read_frame(received), "value", None)
        dialer.check(isinstance(message, Accept), show(received), "no message or an Accept before the close")


@case("EHS-JOIN-4", hostile=True)
async def test_join_to_an_unknown_id(ergo_context: Context) -> None:
    """An acceptor closes the socket, after at most an Accept, when Join names an unknown connection id."""
    dialer = await ergo_context.dial()
    dialer.send(dialer.join(dialer.token(32)))
    await closed_after_accept(dialer)


def other_ids(given: str, of_another: str) -> dict[str, str]:
    """Returns ids that are not the given one of a connection but similar to it, or of another connection."""
    return {
        "of_another_node": of_another,
        "upper_case": given.upper() if given.upper() != given else given + "A",
        "cut": given[:-1],
        "longer": given + "0",
        "empty": "",
        "first_half": given[: len(given) // 2],
        "unknown": "0123456789abcdef" * 2,
    }


@pytest.mark.parametrize("which", list(other_ids("a", "b")))
@case("EHS-JOIN-4", hostile=True)
async def test_join_with_another_id(ergo_context: Context, which: str) -> None:
    """An acceptor closes the socket, after at most an Accept, when a connected node joins with another id ({which})."""
    first, accept = await pooled(ergo_context)
    _, other = await ergo_context.connected()
    dialer = await ergo_context.join(first, other_ids(accept.ID, other.ID)[which])
    await closed_after_accept(dialer)
    await first.expect_open(0.1)
    good = await ergo_context.join(first, accept.ID)
    good.check_joined(await good.expect(Accept))
    await good.expect_open(0.1)


@case("EHS-JOIN-4", hostile=True)
async def test_join_with_the_id_of_an_earlier_connection(ergo_context: Context) -> None:
    """An acceptor closes the socket, after at most an Accept, when the id belongs to an earlier connection of the node."""
    first, earlier = await ergo_context.connected()
    first.socket.close()
    await first.socket.read(1.0)
    second, _ = await ergo_context.connected(first.name)
    dialer = await ergo_context.join(second, earlier.ID)
    await closed_after_accept(dialer)
    await second.expect_open(0.1)


@case("EHS-JOIN-4", hostile=True)
async def test_join_under_another_name(ergo_context: Context) -> None:
    """An acceptor closes the socket, after at most an Accept, when Join names another node's connection, which stays open."""
    first, accept = await ergo_context.connected()
    dialer = await ergo_context.dial()  # with another name
    dialer.send(dialer.join(accept.ID))
    await closed_after_accept(dialer)
    await first.expect_open(0.1)


@case("EHS-JOIN-4", hostile=True)
async def test_join_after_the_end(ergo_context: Context) -> None:
    """An acceptor closes the socket, after at most an Accept, when Join names a connection that has ended."""
    first, accept = await ergo_context.connected()
    first.socket.close()
    await first.socket.read(1.0)
    await asyncio.sleep(0.5)  # the target may need a moment to end the connection
    dialer = await ergo_context.join(first, accept.ID)
    await closed_after_accept(dialer)


@case("EHS-JOIN-9")
async def test_connection_outlives_its_first_link(ergo_context: Context) -> None:
    """A connection stays alive, and accepts further Joins, after its first socket was closed."""
    first, accept = await pooled(ergo_context)
    second = await ergo_context.join(first, accept.ID)
    second.check_joined(await second.expect(Accept))
    await second.expect_open(0.1)
    first.socket.close()
    await first.socket.read(1.0)
    await second.expect_open(0.3)
    third = await ergo_context.join(first, accept.ID)
    third.check_joined(await third.expect(Accept))
    await third.expect_open(0.3)


@case("EHS-JOIN-2", "EHS-JOIN-9")
async def test_closed_links_make_room(ergo_context: Context) -> None:
    """An acceptor accepts a Join after many joined sockets of the connection were closed: they count no longer."""
    first, accept = await pooled(ergo_context)
    for _ in range(3 * (accept.PoolSize + 2)):
        dialer = await ergo_context.join(first, accept.ID)
        dialer.check_joined(await dialer.expect(Accept))
        dialer.socket.close()
        await dialer.socket.read(1.0)
    last = await ergo_context.join(first, accept.ID)
    last.check_joined(await last.expect(Accept))
    await last.expect_open(0.3)


@case("EHS-JOIN-3", "EHS-JOIN-4", "ROB-EHS-3", hostile=True)
async def test_refused_joins_take_no_room(ergo_context: Context) -> None:
    """An acceptor accepts a Join after many refused ones: with a wrong digest, under another name, and aborted ones."""
    first, accept = await pooled(ergo_context)
    for number in range(3 * (accept.PoolSize + 2)):
        dialer = await ergo_context.dial(first.name if number % 3 else None)
        dialer.send(dialer.join(accept.ID, **({"Digest": "wrong"} if number % 3 == 1 else {})))
        if number % 3 == 2:
            dialer.socket.abort()
        else:
            await closed_after_accept(dialer)
    last = await ergo_context.join(first, accept.ID)
    last.check_joined(await last.expect(Accept))
    await last.expect_open(0.3)


@case("EHS-JOIN-5")
async def test_more_links_than_the_pool(ergo_context: Context) -> None:
    """Upstream accepts two sockets more than its pool size and closes the next one after its Accept."""
    first, accept = await pooled(ergo_context)
    for _ in range(accept.PoolSize + 1):
        dialer = await ergo_context.join(first, accept.ID)
        await dialer.expect(Accept)
        await dialer.expect_open(0.1)
    dialer = await ergo_context.join(first, accept.ID)
    await dialer.expect(Accept)
    await dialer.expect_close()


@case("EHS-AST-1", "EHS-FRAME-8", hostile=True)
async def test_hello_behind_join(ergo_context: Context) -> None:
    """An acceptor does not answer a Hello on a joined socket."""
    first, accept = await pooled(ergo_context)
    dialer = await ergo_context.join(first, accept.ID)
    await dialer.expect(Accept)
    dialer.send(dialer.hello())
    await dialer.expect_silence(0.5, "no answer, or a closed socket")


@case("EHS-DUP-1", "EHS-JOIN-4", hostile=True)
async def test_pool_survives_a_duplicate(ergo_context: Context) -> None:
    """A refused second handshake under the same name does not affect the pool: Join still succeeds."""
    first, accept = await pooled(ergo_context)
    duplicate = await ergo_context.dial(first.name, HandshakeState.HELLO_ANSWERED)
    duplicate.send(duplicate.introduce())
    duplicate.send(Accept())
    await duplicate.expect_close(bytes_allowed=True)
    dialer = await ergo_context.join(first, accept.ID)
    dialer.check_joined(await dialer.expect(Accept))
    await dialer.expect_open(0.2)
