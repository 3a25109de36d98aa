"""Saturn packets: schema and node's codec agree on every byte, valid or damaged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import CannotEncode, Rejected
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import AnnouncedRoutes, ApplicationRoute, Message, ProxyRoute
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import SATURN, corrupt_packets
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.reference_node.ergo import saturn as node
from ergo_conformance.spec.ergo import saturn as spec
from ergo_conformance.spec.parse import Parsed

NAME = Atom("a@localhost")
APP = ApplicationRoute(NAME, Atom("app"), 7, 3, 2)
MESSAGES: dict[str, Message] = {
    "handshake": saturn.Handshake("salt", "digest"),
    "handshake_result": saturn.HandshakeResult("digest"),
    "register": saturn.Register("cluster", False, NAME, AnnouncedRoutes([route()], [], None)),
    "register_hidden": saturn.Register("", True, NAME, AnnouncedRoutes()),
    "register_all": saturn.Register("", False, NAME, AnnouncedRoutes([route()], [APP], [ProxyRoute(NAME, NAME)])),
    "granted": saturn.RegisterResult(None, {}, None, None),
    "granted_with": saturn.RegisterResult(None, {"*:A": 1, "*:B": "x", "*:C": None, "*:D": 1.5}, [NAME], [APP]),
    "refused": saturn.RegisterResult(Error("resource is taken")),
    "resolve": saturn.Resolve(2**32 - 1, NAME),
    "resolve_proxy": saturn.ResolveProxy(1, NAME),
    "resolved": saturn.ResolveResult(1, None, [route()]),
    "no_route": saturn.ResolveResult(1, Error("no route"), None),
    "proxies": saturn.ResolveProxyResult(1, None, [ProxyRoute(NAME, NAME)]),
    "joined": saturn.NodeJoined(NAME),
    "left": saturn.NodeLeft(NAME),
    "application": saturn.RegisterApplicationRoute(APP),
    "unloaded": saturn.UnregisterApplicationRoute(Atom("app"), Atom("")),
    "config": saturn.ConfigUpdate("cluster:*:Item", b"\0\1"),
}


def by_node(data: bytes) -> Message | Rejected:
    try:
        return node.read(data)
    except Rejected as refusal:
        return refusal


def by_spec(data: bytes) -> Any:
    parsed = spec.read_packet(data)
    return parsed.value if isinstance(parsed, Parsed) else parsed


def agreed(data: bytes) -> Any:
    """Returns the result on which both readers agree: a value, or a reason and an offset."""
    ours, theirs = by_node(data), by_spec(data)
    if isinstance(ours, Rejected) or isinstance(theirs, Rejected):
        assert isinstance(ours, Rejected), theirs
        assert isinstance(theirs, Rejected), ours
        assert (ours.reason, ours.offset) == (theirs.reason, theirs.offset)
    else:
        assert same(ours, theirs, spec.CONTEXT.registry)  # NaN equals NaN here
    return ours


def test_every_message_has_a_sample() -> None:
    assert {type(message) for message in MESSAGES.values()} == {row.value_class for row in saturn.MESSAGES}


@pytest.mark.parametrize("name", MESSAGES)
def test_both_codecs_write_and_read_the_same(name: str) -> None:
    data = node.write(MESSAGES[name])
    assert data == spec.write_packet(MESSAGES[name])
    assert agreed(data) == MESSAGES[name]
    assert spec.packet_size(data) == len(data) == node.check_header(data)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_truncated_packet_is_refused(name: str) -> None:
    data = node.write(MESSAGES[name])
    for n in range(len(data)):
        assert isinstance(agreed(data[:n]), Rejected)


@pytest.mark.parametrize("name", MESSAGES)
def test_both_readers_agree_on_corruption_of_each_byte(name: str) -> None:
    data = node.write(MESSAGES[name])
    for at in range(len(data)):
        for by in (0, 0xFF, data[at] ^ 1):
            agreed(data[:at] + bytes([by]) + data[at + 1 :])


@pytest.mark.parametrize("name", MESSAGES)
def test_both_readers_refuse_every_corrupt_packet_alike(name: str) -> None:
    corruptions = corrupt_packets(MESSAGES[name], SATURN)
    assert len({corruption.label for corruption in corruptions}) == len(corruptions) > 20
    for corruption in corruptions:
        assert isinstance(agreed(corruption.data), Rejected), corruption.label


@given(st.binary(max_size=60))
def test_both_readers_agree_on_any_bytes(rest: bytes) -> None:
    agreed(rest)
    agreed(b"\x63\x01" + len(rest).to_bytes(2, "big") + rest)


def test_a_message_of_more_than_65535_bytes_raises_cannot_encode() -> None:
    long = saturn.Register("", False, NAME, AnnouncedRoutes([route(port) for port in range(2000)], [], None))
    for write in (node.write, spec.write_packet):
        with pytest.raises(CannotEncode, match="at most 65535"):
            write(long)


def test_registrations_of_proxies_are_refused() -> None:
    """No release registers these types, so a server cannot read them (SAT §3)."""
    assert {row.value_class.__name__ for row in saturn.UNREGISTERED} == {"RegisterProxy", "UnregisterProxy"}
    name = saturn.UNREGISTERED[0].name.encode()
    value = b"\x83" + len(name).to_bytes(2, "big") + name + b"\0\1a\0\1b"
    assert isinstance(agreed(b"\x63\x01" + len(value).to_bytes(2, "big") + value), Rejected)


@pytest.mark.parametrize(
    ("salt", "token", "digest"),
    [
        (  # capture register
            "89444ae7239a113f4c9f412c7ff9efb8a8cd1368c48765a3ace7abd0a193d6b6",
            "tok3n",
            "78e2e16c8767a9dce1389e4ea631633f0dbf2843d21eec5d7cd6fc76b3bd520c",
        ),
        (
            "78e2e16c8767a9dce1389e4ea631633f0dbf2843d21eec5d7cd6fc76b3bd520c",
            "tok3n",
            "c1f28cd7115836abb8920412a6a60ef7eb909d9e4680289569d8725475f44d4b",
        ),
    ],
)
def test_proof_is_the_recorded_digest(salt: str, token: str, digest: str) -> None:
    assert spec.proof(salt, token) == node.proof(salt, token) == digest
    assert node.is_proof(digest, salt, token)
    assert not node.is_proof(digest.upper(), salt, token)
    assert not node.is_proof("ü", salt, token)


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("c:a@b:Item", True), ("c:a@b:Item:Nested", True), ("c:*:Item", True), ("a@b:Item", True), ("*:Item", True),
        ("c:z@b:Item", False), ("d:a@b:Item", False), ("d:*:Item", False), ("z@b:Item", False), ("Item", False),
        ("*:", False), ("c:a@b", False),
    ],
)  # fmt: skip
def test_pattern_of_a_configuration_item_selects_nodes(name: str, yes: bool) -> None:
    assert saturn.concerns(name, "c", "a@b") is yes
