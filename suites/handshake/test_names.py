"""Names and ids of peers: which names are equal, and what a refused peer leaves behind."""

import pytest

from ergo_conformance.model.ergo.ehs import Accept, HandshakeState, Hello, Introduce
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.ehs import frame_size, read_frame
from ergo_conformance.testing import Context, Dialer, case


def similar(name: str) -> dict[str, str]:
    """Returns other names that share the beginning, the end, the letters or the host of a name."""
    local, _, host = name.partition("@")
    return {
        "upper_case": name.upper(),
        "one_letter_less": name[:-1],
        "one_letter_more": name + "x",
        "another_host": f"{local}@x{host}",
        "a_letter_in_front": f"x{name}",
        "without_host": local,
        "empty_host": f"{local}@",
        "space": name + " ",
    }


HOW = list(similar("a@b"))


async def refused_as_duplicate(ergo_context: Context, name: str) -> None:
    """Checks that a second handshake under a connected name is refused, at the latest behind its last message."""
    dialer = await ergo_context.dial(name, HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce())
    dialer.send(Accept())
    await dialer.expect_close(bytes_allowed=True)


@pytest.mark.parametrize("how", HOW)
@case("EHS-AST-6", "EHS-DUP-1")
async def test_similar_names(ergo_context: Context, how: str) -> None:
    """An acceptor keeps the connections of two dialers whose names are similar but not equal ({how})."""
    first, _ = await ergo_context.connected()
    second, _ = await ergo_context.connected(similar(first.name)[how])
    await second.expect_open(0.3)
    await first.expect_open(0.1)


@case("EHS-AST-3")
async def test_names_similar_to_the_acceptors(ergo_context: Context) -> None:
    """An acceptor accepts dialers whose names are similar to its own but not equal."""
    own = await ergo_context.target_name()
    for name in similar(own).values():
        dialer, _ = await ergo_context.connected(name)
        await dialer.expect_open(0.1)


@case("EHS-AST-3", "ROB-EHS-3", hostile=True)
async def test_own_name_each_time(ergo_context: Context) -> None:
    """An acceptor refuses its own name each time, also after connections of other dialers."""
    name = await ergo_context.target_name()
    await ergo_context.connected()
    for _ in range(3):
        dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
        dialer.send(dialer.introduce(Node=name))
        await dialer.expect_close()


@case("EHS-DUP-1", "EHS-AST-6", hostile=True)
async def test_refused_duplicates_keep_the_name_taken(ergo_context: Context) -> None:
    """An acceptor refuses each further handshake under a connected name: a refused one does not make the name free."""
    first, _ = await ergo_context.connected()
    for _ in range(3):
        await refused_as_duplicate(ergo_context, first.name)
    await first.expect_open(0.3)


@case("EHS-DUP-1", "EHS-JOIN-4", hostile=True)
async def test_id_of_a_refused_duplicate(ergo_context: Context) -> None:
    """An acceptor refuses a Join with the id that a refused duplicate was given, and keeps the first connection."""
    first, _ = await ergo_context.connected()
    duplicate = await ergo_context.dial(first.name, HandshakeState.HELLO_ANSWERED)
    duplicate.send(duplicate.introduce())
    duplicate.send(Accept())
    await duplicate.socket.read(1.0)
    given = accept_of(duplicate)
    if given is None:
        return  # refused before an id was given
    joining = await ergo_context.join(first, given)
    await joining.expect_close(bytes_allowed=True)
    await first.expect_open(0.1)


def accept_of(dialer: Dialer) -> str | None:
    """Returns the connection id in the bytes that a dialer received; None without an Accept."""
    data = dialer.socket.transcript.bytes_of("received")
    while (size := frame_size(data[:6])) and len(data) >= size:
        message = getattr(read_frame(data[:size]), "value", None)
        if isinstance(message, Accept):
            return message.ID
        data = data[size:]
    return None


@pytest.mark.parametrize("how", ["wrong_digest", "creation_zero", "aborted"])
@case("ROB-EHS-3", "ROB-EHS-10", hostile=True)
async def test_refused_dialer_may_come_again(ergo_context: Context, how: str) -> None:
    """An acceptor accepts a name after handshakes under this name were refused ({how}), each time."""
    name = (await ergo_context.dial()).name
    for _ in range(3):
        dialer = await ergo_context.dial(name, HandshakeState.HELLO_ANSWERED)
        if how == "aborted":
            dialer.send(dialer.introduce())
            await dialer.expect(Accept)
            await dialer.expect(Introduce)
            dialer.socket.abort()
            continue
        dialer.send(dialer.introduce(Digest="wrong") if how == "wrong_digest" else dialer.introduce(Creation=0))
        dialer.send(Accept())
        await dialer.expect_close(bytes_allowed=True)
    again, _ = await ergo_context.connected(name)
    await again.expect_open(0.3)


@case("EHS-AST-6", "EHS-DUP-1", hostile=True)
async def test_another_creation_is_no_other_name(ergo_context: Context) -> None:
    """An acceptor refuses a second handshake under a connected name also if its creation is another one."""
    first, _ = await ergo_context.connected()
    dialer = await ergo_context.dial(first.name, HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce(Creation=first.creation + 1))
    dialer.send(Accept())
    await dialer.expect_close(bytes_allowed=True)
    await first.expect_open(0.3)


@case("EHS-AST-6", hostile=True)
async def test_creations_at_the_ends(ergo_context: Context) -> None:
    """An acceptor accepts creation 1 and the largest one, and refuses creation 0 under each name."""
    for creation in (1, 2**63 - 1):
        dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
        dialer.send(dialer.introduce(Creation=creation))
        await dialer.expect(Accept)
        await dialer.expect(Introduce)
        dialer.send(Accept())
        await dialer.expect_open(0.2)
    for name in (None, Atom("another@example")):
        refused = await ergo_context.dial(name, HandshakeState.HELLO_ANSWERED)
        refused.send(refused.introduce(Creation=0))
        refused.send(Accept())
        await refused.expect_close(bytes_allowed=True)


# --- ids of connections -----------------------------------------------------------------------------------------------


@case("ROB-EHS-11", "EHS-AST-4")
async def test_id_of_the_next_connection(ergo_context: Context) -> None:
    """An acceptor assigns another id to the next connection of one dialer with the same name, creation and salt."""
    first, accept = await ergo_context.connected()
    ids = [accept.ID]
    for number in (2, 3):
        first.socket.close()
        await first.socket.read(1.0)
        again = await ergo_context.dial(first.name, creation=first.creation)
        again.salt = first.salt
        ids.append((await again.handshake()).ID)
        again.check(len(set(ids)) == number, f"the ids {ids}", "another id for each connection")
        first = again


@case("ROB-EHS-11")
async def test_ids_have_nothing_in_common(ergo_context: Context) -> None:
    """An acceptor assigns ids that share less than half of their characters: nobody guesses one from another."""
    connected = [await ergo_context.connected() for _ in range(4)]
    ids = [accept.ID for _, accept in connected]
    for i, one in enumerate(ids):
        for other in ids[:i]:
            same = sum(a == b for a, b in zip(one, other, strict=False))
            connected[0][0].check(
                same * 2 < max(len(one), 1), f"the ids {show(one)} and {show(other)}", "ids without a pattern"
            )


@case("ROB-EHS-11")
async def test_salts_have_nothing_in_common(ergo_context: Context) -> None:
    """An acceptor uses salts that share less than half of their characters, whatever salts the dialers send."""
    salts: list[str] = []
    for length in (0, 1, 64, 64):
        dialer = await ergo_context.dial()
        dialer.send(dialer.hello(Salt="7" * length))
        salt = (await dialer.expect(Hello)).Salt
        for other in salts:
            same = sum(a == b for a, b in zip(salt, other, strict=False))
            dialer.check(
                same * 2 < max(len(salt), 1), f"the salts {show(salt)} and {show(other)}", "salts without a pattern"
            )
        salts.append(salt)
