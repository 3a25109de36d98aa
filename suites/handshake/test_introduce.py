"""Names, creations, flags, limits and cache tables that both sides introduce."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, Flags, HandshakeState, Introduce, Version
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.testing import Context, Dialer, case, frame, payload_of


async def introduced(ergo_context: Context, **overrides: Any) -> Dialer:
    """Completes a handshake with these fields in Introduce; returns the dialer."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce(**overrides))
    await dialer.expect(Accept)
    await dialer.expect(Introduce)
    dialer.send(Accept())
    return dialer


async def taken(ergo_context: Context, **overrides: Any) -> None:
    """Checks that the handshake completes and the socket stays open."""
    dialer = await introduced(ergo_context, **overrides)
    await dialer.expect_open(0.3)


async def refused(ergo_context: Context, name: str | None = None, **overrides: Any) -> None:
    """Checks that the socket is closed, at the latest after a complete handshake."""
    dialer = await ergo_context.dial(name, HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce(**overrides))
    dialer.send(Accept())
    await dialer.expect_close(bytes_allowed=True)


# --- fields of the acceptor's Introduce -------------------------------------------------------------------------------


@case("EHS-AST-4", "EHS-MSG-1")
async def test_name(ergo_context: Context) -> None:
    """An acceptor introduces itself under its configured name."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    node = dialer.target_introduce.Node
    dialer.check("@" in node, f"the name {show(node)}", "a name of the form NAME@HOST")
    if ergo_context.target_info.name:
        dialer.check(
            node == ergo_context.target_info.name,
            f"the name {show(node)}",
            f"the name {show(ergo_context.target_info.name)}",
        )


@case("EHS-MSG-3")
async def test_creation(ergo_context: Context) -> None:
    """An acceptor introduces its start time as creation: positive and equal in every handshake."""
    found: list[int] = []
    for _ in range(2):
        dialer = await introduced(ergo_context)
        assert dialer.target_introduce is not None
        found.append(dialer.target_introduce.Creation)
        dialer.check(found[0] == found[-1] > 0, f"{found}", "the same creation above 0 in both handshakes")


@case("EHS-AST-6", "EHS-MSG-3")
async def test_creation_is_not_zero(ergo_context: Context) -> None:
    """An acceptor does not introduce itself with creation 0, which peers refuse."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    dialer.check(dialer.target_introduce.Creation != 0, "creation 0", "a creation other than 0")


@case("EHS-MSG-2")
async def test_version(ergo_context: Context) -> None:
    """An acceptor introduces the version of its application."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    dialer.check(bool(dialer.target_introduce.Version.Name), "a version without a name", "a version with a name")


@case("EHS-CACHE-2")
async def test_announced_ids(ergo_context: Context) -> None:
    """An acceptor announces only cache ids that EDF reads as ids."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    message = dialer.target_introduce
    assert message is not None
    for name, (first, last) in ehs.ID_RANGES.items():
        wrong = [id_ for id_ in getattr(message, name) or () if not first <= id_ <= last]
        dialer.check(not wrong, f"{name} with ids {wrong}", f"{name} with ids from {first} to {last}")


@case("EHS-CACHE-3")
async def test_own_name_is_cached(ergo_context: Context) -> None:
    """An acceptor announces its own name among the atoms."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    atoms = list((dialer.target_introduce.AtomCache or {}).values())
    dialer.check(
        dialer.target_introduce.Node in atoms, f"the atoms {atoms}", "an atom table with the acceptor's own name"
    )


@case("EHS-FLAG-3", "EHS-FLAG-2")
async def test_flags_are_not_negotiated(ergo_context: Context) -> None:
    """An acceptor introduces the same flags whatever flags the dialer introduces."""
    found: list[str] = []
    for flags in (0, int(ehs.DEFAULT_FLAGS)):
        dialer = await introduced(ergo_context, Flags=flags.to_bytes(8, "big"))
        assert dialer.target_introduce is not None
        found.append(dialer.target_introduce.Flags.hex())
        dialer.check(found[0] == found[-1], f"{found}", "the same flags in both handshakes")


@case("EHS-FLAG-1", config={"flags": {"important": False, "spawn": False, "application_start": False}})
async def test_configured_flags(ergo_context: Context) -> None:
    """An acceptor does not announce features that its configuration disables."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    flags = int.from_bytes(dialer.target_introduce.Flags[:8], "big")
    off = Flags.IMPORTANT_DELIVERY | Flags.REMOTE_SPAWN | Flags.REMOTE_APPLICATION_START
    dialer.check(not flags & off, f"flags {flags:#x}", f"flags without {int(off):#x}")


@case("EHS-MSG-1", config={"max_message_size": 30_000})
async def test_configured_limit(ergo_context: Context) -> None:
    """An acceptor introduces its configured message size limit."""
    dialer = await ergo_context.dial(state=HandshakeState.AWAIT_ACCEPT)
    assert dialer.target_introduce is not None
    size = dialer.target_introduce.MaxMessageSize
    dialer.check(size == 30_000, f"MaxMessageSize {size}", "MaxMessageSize 30000")


@case("EHS-DIG-1", "EHS-DIG-2", config={"cookie": "another cookie: ключ"})
async def test_configured_cookie(ergo_context: Context) -> None:
    """An acceptor accepts a configured cookie of any text and refuses a different one."""
    await ergo_context.connected()
    dialer = await ergo_context.dial()
    dialer.cookie = "ergo-conformance-cookie"
    dialer.send(dialer.hello())
    await dialer.expect_close()


# --- refused dialers --------------------------------------------------------------------------------------------------


@case("EHS-AST-3", hostile=True)
async def test_own_name(ergo_context: Context) -> None:
    """An acceptor closes the socket without Accept when the dialer introduces the acceptor's own name."""
    name = await ergo_context.target_name()
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send(dialer.introduce(Node=name))
    await dialer.expect_close()


@case("EHS-AST-6", hostile=True)
async def test_empty_name(ergo_context: Context) -> None:
    """An acceptor closes the socket, at the latest after the handshake, when the dialer's name is empty."""
    await refused(ergo_context, Node=Atom(""))


@case("EHS-AST-6", hostile=True)
async def test_creation_zero(ergo_context: Context) -> None:
    """An acceptor closes the socket, at the latest after the handshake, when the dialer's creation is 0."""
    await refused(ergo_context, Creation=0)


@case("EHS-DUP-1", "EHS-AST-6", hostile=True)
async def test_duplicate_name(ergo_context: Context) -> None:
    """An acceptor closes the socket of a second handshake under a connected name; the first socket stays open."""
    first, _ = await ergo_context.connected()
    await refused(ergo_context, first.name)
    await first.expect_open(0.3)


@case("EHS-ACC-2")
async def test_late_refusal_looks_like_success(ergo_context: Context) -> None:
    """Upstream refuses an already connected name only after a complete handshake."""
    first, _ = await ergo_context.connected()
    dialer = await ergo_context.dial(first.name)
    await dialer.handshake()
    await dialer.expect_close(bytes_allowed=True)


@case("ROB-EHS-10", "EHS-DUP-1")
async def test_name_is_free_again(ergo_context: Context) -> None:
    """An acceptor accepts a name again after the connection with that name has ended."""
    first, _ = await ergo_context.connected()
    first.socket.close()
    await first.socket.read(1.0)
    again, _ = await ergo_context.connected(first.name)
    await again.expect_open(0.3)


# --- accepted dialers -------------------------------------------------------------------------------------------------

NAMES = {"without_at": "nobody", "two_ats": "a@b@c", "unicode": "вузол@хост", "255_bytes": "n" * 246 + "@localhos"}


@pytest.mark.parametrize("name", list(NAMES))
@case("EHS-ACC-1")
async def test_odd_name(ergo_context: Context, name: str) -> None:
    """An acceptor accepts a name of an unusual form ({name})."""
    await taken(ergo_context, Node=Atom(NAMES[name]))


@case("EHS-ACC-1")
async def test_negative_creation(ergo_context: Context) -> None:
    """An acceptor accepts a negative creation."""
    await taken(ergo_context, Creation=-1)


FLAGS = {
    "none": bytes(8),
    "all_bits": b"\xff" * 8,
    "unknown_bits": (int(ehs.DEFAULT_FLAGS) | 1 << 40).to_bytes(8, "big"),
    "without_enable": (0x66).to_bytes(8, "big"),
    "nine_bytes": int(ehs.DEFAULT_FLAGS).to_bytes(8, "big") + b"\x00",
}


@pytest.mark.parametrize("flags", list(FLAGS))
@case("EHS-FLAG-1", "EHS-FLAG-2")
async def test_flags(ergo_context: Context, flags: str) -> None:
    """An acceptor accepts any flags ({flags}) and ignores unknown ones."""
    await taken(ergo_context, Flags=FLAGS[flags])


@case("EHS-FRAME-8", hostile=True)
async def test_flags_too_short(ergo_context: Context) -> None:
    """An acceptor closes the socket when the flags have fewer than eight bytes."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send_bytes(short_flags(dialer), "an Introduce whose flags have seven bytes")
    await dialer.expect_close()


def short_flags(dialer: Dialer) -> bytes:
    """Returns an Introduce whose flags are one byte too short; the tester's writer would refuse to write it."""
    flags = int(ehs.DEFAULT_FLAGS).to_bytes(8, "big")
    payload = payload_of(dialer.introduce())
    return frame(payload.replace(b"\x00\x00\x00\x08" + flags, b"\x00\x00\x00\x07" + flags[:7], 1))


TABLES: dict[str, dict[str, Any]] = {
    "nil": {},
    "empty": {"AtomCache": {}, "RegCache": {}, "ErrCache": {}},
    "filled": {
        "AtomCache": {256 + i: Atom(f"atom_{i}") for i in range(50)},
        "RegCache": {4096 + i: f"#example.org/types/T{i}" for i in range(50)},
        "ErrCache": {32_768 + i: Error(f"error {i}") for i in range(50)},
    },
    "ends_of_ranges": {
        "AtomCache": {256: Atom("first"), 65_535: Atom("last")},
        "RegCache": {4096: "#a/First", 65_535: "#a/Last"},
        "ErrCache": {32_768: Error("first"), 65_534: Error("last")},
    },
}


@pytest.mark.parametrize("tables", list(TABLES))
@case("EHS-CACHE-4", "EHS-MSG-1")
async def test_caches(ergo_context: Context, tables: str) -> None:
    """An acceptor accepts cache tables of any size ({tables})."""
    await taken(ergo_context, **TABLES[tables])


@case("EHS-CACHE-2", "ROB-EHS-1", hostile=True)
async def test_caches_out_of_range(ergo_context: Context) -> None:
    """An acceptor refuses or ignores cache ids that EDF does not read as ids, and keeps running."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    dialer.send(
        dialer.introduce(
            AtomCache={0: Atom("zero"), 255: Atom("last")},
            RegCache={0: "#a/A", 4095: "#a/B"},
            ErrCache={0: Error("x"), 65_535: None},
        )
    )
    await dialer.socket.read(1.0)


@case("EHS-FRAME-5", "EHS-CACHE-4")
async def test_introduce_of_full_length(ergo_context: Context) -> None:
    """An acceptor accepts an Introduce whose payload has the maximum length of 65535 bytes."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    room = ehs.MAX_PAYLOAD - len(payload_of(dialer.introduce(Version=Version())))
    dialer.send(dialer.introduce(Version=Version(Name="v" * room)))
    await dialer.expect(Accept)
    await dialer.expect(Introduce)


@pytest.mark.parametrize("size", [0, 1, 2**62, -1], ids=["none", "one_byte", "huge", "negative"])
@case("EHS-MSG-1", "ROB-EHS-1")
async def test_message_limit(ergo_context: Context, size: int) -> None:
    """An acceptor accepts a peer with any message size limit ({size})."""
    await taken(ergo_context, MaxMessageSize=size)
