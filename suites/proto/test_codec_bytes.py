"""The codec over the wire: bytes that no writer chooses, but that stand for a value; `echo` returns that value."""

from dataclasses import dataclass
from typing import Any

import pytest

from ergo_conformance.model.compare import same
from ergo_conformance.model.json.values import value_from_json
from ergo_conformance.model.show import show
from ergo_conformance.peers.corruption.frames import with_payload
from ergo_conformance.testing import AGENTS, REGISTRY, Context, Peer, case
from ergo_conformance.verdict.vectors.files import row_bytes
from ergo_conformance.verdict.vectors.golden import golden_file

LARGE = 30_000


@dataclass(frozen=True, slots=True)
class Unusual:
    """Bytes, and the value that they stand for."""

    label: str
    data: bytes
    value: Any
    requirements: tuple[str, ...]


def unusual() -> list[Unusual]:
    """Returns the rows of the golden file whose values a message can contain and a foreign codec knows."""
    found = []
    for row in golden_file("edf_negative.json").rows:
        data = row_bytes(row)
        if row["expect"] != "value" or row.get("options") or data is None or len(data) > LARGE or b"edfgold" in data:
            continue
        value = value_from_json(row.get("expect_value", row.get("value")), REGISTRY)
        if value is not None and row["group"] not in {"depth", "tag"}:
            label = row["id"].removeprefix("neg-").replace("-", "_")
            found.append(Unusual(label, data, value, tuple(row["requirements"])))
    return found


async def echoed(peer: Peer, data: bytes) -> Any:
    """Calls `echo` with these bytes as the argument; returns the value in the answer."""
    ref = peer.new_ref()
    peer.send_bytes(
        with_payload(peer.request("echo", "", ref), peer, data), f"a call with the value {data[:40].hex(' ')}"
    )
    return getattr((await peer.answer(ref)).value, "payload", None)


@pytest.mark.parametrize("row", unusual(), ids=lambda row: row.label)
@case("ENP-T-121", offers=AGENTS)
async def test_unusual(ergo_context: Context, row: Unusual) -> None:
    """A target reads unusual bytes as the value that they stand for ({row})."""
    peer = await ergo_context.peer()
    found = await echoed(peer, row.data)
    peer.check(same(row.value, found, REGISTRY), show(found, 200), show(row.value, 200))


@pytest.mark.parametrize("byte", [0, 2, 128, 255])
@case("EDF-BOOL-1", offers=AGENTS)
async def test_bool(ergo_context: Context, byte: int) -> None:
    """A target reads a bool as true only from the byte 01, alone and in `any` slots ({byte})."""
    peer = await ergo_context.peer()
    data = bytes([0x91, byte])
    found = await echoed(peer, data)
    peer.check(found is False, show(found), "false")
    found = await echoed(peer, bytes.fromhex("8200029d849d00000002") + data + b"\x91\x01")
    peer.check(found == [False, True], show(found), "[false, true]")


@case("EDF-MAP-1", offers=AGENTS)
async def test_keys_of_different_messages(ergo_context: Context) -> None:
    """A target distinguishes keys that begin with the same bytes, in messages one after the other."""
    peer = await ergo_context.peer()
    for length in (16, 32, 64, 300):
        for end in ("", "a", "b"):
            value = {"k" * length + end: 1}
            found = await peer.call("echo", value)
            peer.check(found == value, show(found, 400), show(value, 400))
