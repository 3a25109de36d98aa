"""ESRD packets: schema and node's codec agree on every byte, valid or damaged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import CannotEncode, Reason, Rejected
from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.esrd import (  # fmt: skip
    Message,
    PacketType,
    RegisterReply,
    RegisterRoutes,
    ResolveReply,
    ResolveRoutes,
    Route,
)
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import corrupt_packets, with_length
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP, route
from ergo_conformance.reference_node.ergo import esrd as node
from ergo_conformance.spec.ergo.esrd import packet_size, read_packet, write_packet
from ergo_conformance.spec.parse import Parsed
from tests.edf.strategies import characters

NAME = Atom("b@localhost")
TWO = [route(1), Route("10.0.0.1", 65_535, True, EHS._replace(Commit="c"), ENP)]
MESSAGES: dict[str, Message] = {
    "register": RegisterRoutes(NAME, [route(11_145)]),
    "register_two": RegisterRoutes(NAME, TWO),
    "register_nil": RegisterRoutes(NAME, None),
    "register_empty": RegisterRoutes(Atom(""), []),
    "granted": RegisterReply(None),
    "taken": RegisterReply(Error("resource is taken")),
    "no_text": RegisterReply(Error("")),
    "resolve": ResolveRoutes(NAME),
    "found": ResolveReply(TWO, None),
    "unknown": ResolveReply(None, Error("unknown")),
    "both": ResolveReply([], Error("x" * 900)),
}
REAL = {  # master: register, name-taken, resolve-unknown
    "register": "012c0071830037236572676f2e73657276696365732f6572676f2f6e65742f7265676973747261722f4d65737361676552656769"
    "73746572526f75746573000b62406c6f63616c686f73749d0000000100002b8900000345485300025231000000034d49540003454e50000252"
    "31000000034d4954",
    "taken": "012d004c830036236572676f2e73657276696365732f6572676f2f6e65742f7265676973747261722f4d6573736167655265676973"
    "7465725265706c7900117265736f757263652069732074616b656e",
    "resolve": "012e0046830036236572676f2e73657276696365732f6572676f2f6e65742f7265676973747261722f4d65737361676552657"
    "36f6c7665526f75746573000b62406c6f63616c686f7374",
    "unknown": "012f0042830035236572676f2e73657276696365732f6572676f2f6e65742f7265676973747261722f4d65737361676552657"
    "36f6c76655265706c79ff0007756e6b6e6f776e",
}
named = pytest.mark.parametrize("name", MESSAGES)


def by_node(data: bytes) -> Message | Rejected:
    try:
        return node.read(data)
    except Rejected as refusal:
        return refusal


def agreed(data: bytes) -> Any:
    """Returns the result on which both readers agree: the value, or the refusal of the schema."""
    parsed, found = read_packet(data), by_node(data)
    if isinstance(parsed, Rejected):
        assert isinstance(found, Rejected), data.hex()
        assert (found.reason, found.offset) == (parsed.reason, parsed.offset), data.hex()
        return parsed
    assert found == parsed.value, data.hex()
    return found


@pytest.mark.parametrize("name", REAL)
def test_a_message_equals_the_bytes_of_real_nodes(name: str) -> None:
    assert write_packet(MESSAGES[name]).hex() == REAL[name]


@named
def test_both_codecs_write_the_same_and_read_it(name: str) -> None:
    data = write_packet(MESSAGES[name])
    assert node.write(MESSAGES[name]) == data
    assert agreed(data) == MESSAGES[name]


@named
def test_a_packet_states_its_size_and_type(name: str) -> None:
    data = write_packet(MESSAGES[name])
    assert packet_size(data) == node.check_header(data) == len(data)
    assert [packet_size(data[:n]) for n in range(4)] == [None] * 4
    assert esrd.CLASSES[PacketType(data[1])] is type(MESSAGES[name])


@named
def test_both_readers_refuse_every_corrupt_packet_alike(name: str) -> None:
    corruptions = corrupt_packets(MESSAGES[name])
    assert len({corruption.label for corruption in corruptions}) == len(corruptions) > 20
    for corruption in corruptions:
        assert isinstance(agreed(corruption.data), Rejected), corruption.label


@named
def test_a_truncated_packet_is_refused(name: str) -> None:
    data = write_packet(MESSAGES[name])
    for n in range(len(data)):
        assert agreed(data[:n]).reason is Reason.END_OF_DATA


@named
def test_a_value_longer_than_its_length_is_refused(name: str) -> None:
    """Upstream reads beyond the length (ESRD-FR-4), bytes that are part of no packet."""
    data = write_packet(MESSAGES[name])
    for n in range(len(data) - esrd.HEADER_LENGTH):
        assert isinstance(agreed(with_length(data, n)), Rejected)
    assert agreed(data + b"\0").reason is Reason.LEFTOVER
    assert agreed(with_length(data + b"\0")).reason is Reason.LEFTOVER


@named
def test_a_value_of_another_packet_type_is_refused(name: str) -> None:
    data = write_packet(MESSAGES[name])
    for type_ in PacketType:
        if type_ != data[1]:
            assert agreed(data[:1] + bytes([type_]) + data[2:]).reason is Reason.UNEXPECTED


def test_a_packet_is_read_at_an_offset_between_other_bytes() -> None:
    data = write_packet(MESSAGES["register"])
    parsed = read_packet(b"..." + data + b"...", offset=3, prefix=True)
    assert isinstance(parsed, Parsed)
    assert (parsed.value, parsed.end) == (MESSAGES["register"], 3 + len(data))
    host = parsed.span("message.Routes[0].HandshakeVersion.Name")
    assert (b"..." + data)[host.start : host.end] == b"\x00\x03EHS"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (RegisterRoutes(Atom("n" * 256), []), "message.Node"),
        (RegisterReply(Error("x" * 40_000)), "message.Error"),
        (RegisterRoutes(NAME, [route(70_000)]), "message.Routes[0].Port"),
        (RegisterRoutes(NAME, [route(1, Host="h" * 60_000)] * 2), ""),
    ],
    ids=["name", "error", "port", "whole"],
)
def test_a_value_that_no_packet_can_hold_raises_cannot_encode(message: Message, path: str) -> None:
    for write in (write_packet, node.write):
        with pytest.raises(CannotEncode) as caught:
            write(message)
        assert caught.value.path in {path, path.removeprefix("message.")}


texts = st.text(characters, max_size=30)
versions = st.builds(Version, texts, texts, texts, texts)
routes = st.lists(st.builds(Route, texts, st.integers(0, 65_535), st.booleans(), versions, versions), max_size=3)
errors = st.none() | texts.map(Error)
names = texts.map(Atom)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(RegisterRoutes, names, st.none() | routes),
    st.builds(RegisterReply, errors),
    st.builds(ResolveRoutes, names),
    st.builds(ResolveReply, st.none() | routes, errors),
)


@given(messages)
def test_any_message_is_written_and_read(message: Message) -> None:
    data = write_packet(message)
    assert node.write(message) == data
    assert agreed(data) == message


@given(messages, st.data())
def test_both_readers_agree_on_random_corruption(message: Message, data: st.DataObject) -> None:
    packet = bytearray(write_packet(message))
    at = data.draw(st.integers(0, len(packet) - 1))
    packet[at] = data.draw(st.integers(0, 255))
    agreed(bytes(packet))


@given(st.binary(max_size=80), st.sampled_from(PacketType))
def test_any_bytes_are_a_message_or_refused(body: bytes, type_: PacketType) -> None:
    agreed(body)
    agreed(bytes([esrd.VERSION, type_]) + len(body).to_bytes(2, "big") + body)
