"""EhsSession without I/O: both roles with captures of real nodes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Flags, Introduce, Join, Role
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.api.handshake import (
    ConnectionRef,
    JoinedSocket,
    LocalIdentity,
    PeerInfo,
)
from ergo_conformance.reference_node.ergo.ehs import EhsSession, announced_caches
from tests.support.ehs_sessions import EMPTY, B, acceptor, feed, messages

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
CAPTURED = ("master/handshake*.jsonl", "master/duplicate.jsonl", "v3??/handshake*.jsonl")


def captured_handshakes() -> Iterator[Any]:
    """Yields per recorded socket: metadata, the dialer's bytes, the acceptor's bytes."""
    for path in sorted(p for pattern in CAPTURED for p in CAPTURES.glob(pattern)):
        meta, *lines = map(json.loads, path.read_text("utf-8").splitlines())
        streams: dict[int, dict[str, bytes]] = {}
        for line in lines:
            if line.get("hex"):
                stream = streams.setdefault(line["link"], dict.fromkeys(meta["sides"], b""))
                stream[line["dir"]] += bytes.fromhex(line["hex"])
        for number, stream in streams.items():
            out = next(way for way, side in meta["sides"].items() if side == meta["dialer"])
            back = next(way for way in meta["sides"] if way != out)
            if "wrong_cookie" not in path.name:
                yield pytest.param(meta, stream[out], stream[back], id=f"{path.parent.name}-{path.stem}-{number}")


def replaying_session(meta: Any, written: list[Any], *, as_dialer: bool) -> EhsSession:
    """Returns a session with the name, secrets and random values of the recorded side."""
    own = next((m for m in written if isinstance(m, Introduce)), EMPTY)
    pool = next((m for m in written if isinstance(m, Accept)), Accept())
    join = next((m for m in written if isinstance(m, Join)), None)
    random_values = [m.Salt for m in written if hasattr(m, "Salt")] + [pool.ID]
    dialing, accepting = meta["dialer"], next(s for s in meta["sides"].values() if s != meta["dialer"])
    local = LocalIdentity(
        name=join.Node if join else own.Node,
        cookie=meta["secrets"][dialing if as_dialer else accepting]["cookie"],
        creation=own.Creation,
        version=own.Version,
        flags=Flags(int.from_bytes(own.Flags)),
        max_message_size=own.MaxMessageSize,
        caches=announced_caches(own),
        pool_size=pool.PoolSize,
    )
    seen = meta["secrets"][accepting].get("fingerprint_sha1")
    return EhsSession(
        Role.DIALER if as_dialer else Role.ACCEPTOR,
        local,
        lambda _: random_values.pop(0),
        fingerprint=bytes.fromhex(seen) if seen else None,
        address=(pool.PoolDSN or [""])[0],
        joining=ConnectionRef(Atom("b@localhost"), join.ConnectionID) if join else None,
    )


@pytest.mark.parametrize("as_dialer", [True, False], ids=["dialer", "acceptor"])
@pytest.mark.parametrize(("meta", "out", "back"), list(captured_handshakes()))
def test_a_session_writes_the_bytes_of_the_recorded_node(meta: Any, out: bytes, back: bytes, as_dialer: bool) -> None:
    written, read = (out, back) if as_dialer else (back, out)
    side = replaying_session(meta, list(messages(written)), as_dialer=as_dialer)
    first = side.start()
    sent, events = feed(side, read, 1000)
    sent = first + sent
    assert written.startswith(sent)
    assert written[len(sent) :][:1] in {b"", b"\x4e"}  # ENP follows
    result = events[-1]
    assert isinstance(result, PeerInfo | JoinedSocket)
    assert result.tail[:1] in {b"", b"\x4e"}


def test_the_captures_have_more_than_15_handshakes() -> None:
    assert sum(1 for _ in captured_handshakes()) > 15


def test_a_recorded_node_with_another_cookie_is_refused() -> None:
    meta, *lines = map(json.loads, (CAPTURES / "master/handshake_wrong_cookie.jsonl").read_text("utf-8").splitlines())
    data = next(bytes.fromhex(line["hex"]) for line in lines if line.get("hex"))
    with pytest.raises(HandshakeError, match="wrong digest HELLO_DIALER"):
        feed(acceptor(replace(B, cookie=meta["secrets"]["b"]["cookie"])), data, 1 << 20)
