"""Malformed frame bodies, generated from the schema of each frame: they are dropped and the connection stays open."""

from dataclasses import dataclass

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import truncated_frames, valid_frame, with_length, with_payload
from ergo_conformance.spec.ergo.enp.frames import BODIES
from ergo_conformance.testing import AGENTS, ANNOUNCED, Context, Peer, case


@dataclass(frozen=True, slots=True)
class Kind:
    """A frame type and the requirement that defines its layout."""

    type: FrameType

    @property
    def label(self) -> str:
        return self.type.name.lower()

    @property
    def requirements(self) -> tuple[str, ...]:
        return (f"ENP-T-{self.type:d}",)


KINDS = [Kind(type_) for type_ in BODIES]
WITH_A_REASON = [kind for kind in KINDS if BODIES[kind.type].names[-1] == "reason"]
WITH_A_VALUE = [kind for kind in KINDS if BODIES[kind.type].names[-1] in ("payload", "message", "reason")]


def kinds(found: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", found, ids=lambda kind: kind.label)


async def dropped(peer: Peer) -> None:
    """Checks that the connection stays open and no frame answers the sent bytes."""
    await peer.expect_none(lambda frame: True, "answer to a frame that cannot be decoded", within=0.05)


@kinds(KINDS)
@case("ROB-ENP-8", "ROB-ENP-1", offers=AGENTS, hostile=True)
async def test_cut(ergo_context: Context, kind: Kind) -> None:
    """A target drops a frame of kind {kind} that ends before or within any of its fields; the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    for what, data in truncated_frames(valid_frame(kind.type, peer), peer):
        peer.send_bytes(data, what)
        await dropped(peer)


VALUES = {
    "unassigned_tag": b"\x00\x01\x02",
    "no_value": b"\x84",
    "text_cut": b"\x8d\x00\x10text",
    "count_too_large": bytes.fromhex("8200029d8dffffffff"),
    "unknown_type_id": bytes.fromhex("83ff00"),
    "unknown_type_name": b"\x83\x00\x08#nowhere" + bytes(8),
    "unknown_atom_id": bytes.fromhex("8cff00"),
    "unknown_error_id": bytes.fromhex("9cff00"),
    "bad_time": bytes.fromhex("af0f03") + bytes(14),
}
"""EDF that cannot be decoded."""


@pytest.mark.parametrize("bad", list(VALUES))
@case("ENP-HDR-7", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_value(ergo_context: Context, bad: str) -> None:
    """A target drops a frame of any type with an invalid EDF value ({bad}) without a reply; the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    for kind in WITH_A_VALUE:
        description = f"a frame of kind {kind.label} with an invalid value: {bad.replace('_', ' ')}"
        peer.send_bytes(with_payload(valid_frame(kind.type, peer), peer, VALUES[bad]), description)
        await dropped(peer)


NO_REASONS = {
    "text": b"\x8d\x00\x08shutdown",
    "atom": b"\x8c\x00\x08shutdown",
    "number": b"\x97\x01",
    "nil": b"\xff",
    "nil_error": b"\x9c\xff\xff",
}
"""Valid values that are not errors."""


@pytest.mark.parametrize("what", list(NO_REASONS))
@case("ENP-EXIT-1", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_no_reason(ergo_context: Context, what: str) -> None:
    """A target drops a frame whose reason is not an error ({what}); the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    for kind in WITH_A_REASON:
        description = f"a frame of kind {kind.label} whose reason is not an error: {what.replace('_', ' ')}"
        peer.send_bytes(with_payload(valid_frame(kind.type, peer), peer, NO_REASONS[what]), description)
        await dropped(peer)


@case("ENP-EXIT-1", "ENP-T-107", offers=AGENTS, hostile=True)
async def test_exit_without_a_reason(ergo_context: Context) -> None:
    """A target does not terminate `echo` on an exit signal whose reason is not an error."""
    peer = await ergo_context.peer()
    pid = await peer.echo_id()
    frame = enp.Exit(pid % enp.ORDER_MODULUS, 1, enp.Priority.MAX, pid, error_values.KILL)
    for what, value in NO_REASONS.items():
        if not what.startswith("nil"):
            peer.send_bytes(with_payload(frame, peer, value), f"an exit signal whose reason is not an error: {what}")
    peer.check(await peer.echo_id() == pid, "echo with another PID", f"echo with its earlier PID {pid}")


@case("ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_byte_behind(ergo_context: Context) -> None:
    """A target handles or drops a frame of any type with one byte after its value; the connection stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    for kind in WITH_A_VALUE:
        data = peer.data_of(valid_frame(kind.type, peer))
        peer.send_bytes(with_length(data + b"\x00"), f"a frame of kind {kind.label} with one byte after its value")
        await peer.check_alive()


@case("ENP-HDR-8", offers=AGENTS)
async def test_byte_behind_a_message(ergo_context: Context) -> None:
    """Upstream delivers a message with one byte after its value."""
    peer = await ergo_context.peer()
    data = peer.data_of(peer.message("echo", "hello"))
    peer.send_bytes(with_length(data + b"\x00"), "a message with one byte after its value")
    received = await peer.find(lambda f: isinstance(f, enp.MessagePID), 1.0)
    peer.check(received is not None, "no message", "the delivered message")


CACHED = [kind for kind in KINDS if kind.label.endswith("_cache")]


@case("ENP-NAME-2", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_unknown_name_id(ergo_context: Context) -> None:
    """A target drops a frame of any type with a name id that was not announced; the connection stays open."""
    peer = await ergo_context.peer()
    for kind in CACHED:
        data = peer.data_of(valid_frame(kind.type, peer), Caches(atoms={4000: Atom("nobody")}))
        peer.send_bytes(data, f"a frame of kind {kind.label} with the name id 4000, which was not announced")
        await dropped(peer)


UNWATCHED = [kind for kind in KINDS if kind.label.startswith(("terminate", "event", "exit"))]


@kinds(UNWATCHED)
@case("ENP-TERM-1", "ENP-DLV-1", offers=AGENTS, hostile=True)
async def test_about_nothing(ergo_context: Context, kind: Kind) -> None:
    """A target ignores a valid frame of kind {kind} about a target that it does not monitor or a process it does not have."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    peer.send_frame(valid_frame(kind.type, peer))
    await dropped(peer)


@case("ENP-ERR-1", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_unknown_code(ergo_context: Context) -> None:
    """A target drops a ResponseError with an unknown code; the connection stays open."""
    peer = await ergo_context.peer()
    frame = valid_frame(FrameType.RESPONSE_ERROR, peer)
    for code in (4, 5, 128, 254):
        peer.send_bytes(with_payload(frame, peer, bytes([code])), f"a ResponseError with code {code}")
        await dropped(peer)


@case("ENP-ERR-1", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_code_255_without_an_error(ergo_context: Context) -> None:
    """A target drops a ResponseError with code 255 that is not followed by a valid error; the connection stays open."""
    peer = await ergo_context.peer()
    frame = valid_frame(FrameType.RESPONSE_ERROR, peer)
    for what, value in {"nothing": b"", **VALUES, **NO_REASONS}.items():
        peer.send_bytes(with_payload(frame, peer, b"\xff" + value), f"a ResponseError with code 255 followed by {what}")
        await dropped(peer)


BOMBS = {
    "array_of_4g": bytes.fromhex("8200069effffffff9700"),
    "any_60000_deep": b"\x84" * 60_000,
    "map_of_4g": bytes.fromhex("8200039f98989fffffffff"),
    "folded_60000_deep": bytes.fromhex("82ea60") + b"\x9d" * 60_000,
    "array_of_4g_empty": bytes.fromhex("82000b9effffffff9e000000009400"),
    "slices_6000_deep": bytes.fromhex("8200029d84") + bytes.fromhex("9d00000001" + "8200029d84") * 6_000,
}
"""Small inputs that request huge resources: gigabytes, endless loops, deep recursion."""


@pytest.mark.parametrize("bomb", list(BOMBS))
@case("ROB-ENP-2", "ROB-ENP-1", "ROB-ENP-8", offers=AGENTS, hostile=True, dangerous=True)
async def test_bomb(ergo_context: Context, bomb: str) -> None:
    """A target drops a message whose small value requests huge resources ({bomb}); the connection stays open."""
    peer = await ergo_context.peer()
    frame = peer.message("echo", True)
    peer.send_bytes(with_payload(frame, peer, BOMBS[bomb]), f"a message whose value is: {bomb.replace('_', ' ')}")
    await dropped(peer)
