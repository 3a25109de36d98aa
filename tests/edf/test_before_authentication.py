"""First bytes of a stranger: refused at a cost in proportion to them, and without effect on the handshakes of others."""

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.model.ergo import ehs, esrd, saturn
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.ergo import esrd as esrd_node
from ergo_conformance.reference_node.ergo import saturn as saturn_node
from ergo_conformance.reference_node.ergo.edf.codec import generated_functions
from ergo_conformance.reference_node.ergo.ehs import MESSAGE_TYPES
from ergo_conformance.reference_node.ergo.saturn import SaturnDirectory, SaturnServerSession
from tests.support.ehs_sessions import A, acceptor, dialer
from tests.support.work import count_calls, peak_memory

from .hostile import INPUTS, data_of
from .test_map_keys import ANY_KEYS, HEADS, deep_key, map_of, rows

SIZE = 1500
CALLS = 80
"""Function calls per byte of the input, and per item of a value that may take no bytes."""
FREE_ITEMS = 4096
VALUES = {name: data_of(name, SIZE)[: ehs.MAX_PAYLOAD] for name in sorted(INPUTS)} | {
    "deep key": map_of(ANY_KEYS, [deep_key(3000)]),
    "equal hashes": map_of(HEADS["arrays"][0], list(rows(10))),
}
values = pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
some_values = pytest.mark.parametrize("value", [*VALUES.values()][::4], ids=[*VALUES][::4])


def meet(payload: bytes) -> None:
    """Gives a first frame to an acceptor, which has to refuse it."""
    session = acceptor()
    frame = bytes([ehs.MAGIC, ehs.VERSION]) + len(payload).to_bytes(4, "big") + payload
    with pytest.raises(HandshakeError):
        list(session.receive(frame))


def handshake() -> None:
    """Makes a whole handshake between two nodes of one process."""
    ours, theirs = dialer(A), acceptor()
    sent = ours.start()
    for side in (theirs, ours, theirs, ours, theirs):
        sent = b"".join(part for part in side.receive(sent) if isinstance(part, bytes))
    assert theirs.state is ours.state is ehs.HandshakeState.DONE


@values
def test_a_hostile_first_frame_is_refused_at_bounded_cost(value: bytes) -> None:
    assert count_calls(lambda: meet(value)) < CALLS * (len(value) + FREE_ITEMS)


@some_values
def test_a_hostile_first_frame_takes_bounded_memory(value: bytes) -> None:
    assert peak_memory(lambda: meet(value)) < 150 * len(value) + 1_000_000


def test_no_function_is_generated_for_types_that_a_stranger_names() -> None:
    handshake()
    before = generated_functions(MESSAGE_TYPES).lines
    for value in VALUES.values():
        meet(value)
    assert generated_functions(MESSAGE_TYPES).lines == before


def test_a_handshake_costs_the_same_after_hostile_first_frames() -> None:
    handshake()
    before = count_calls(handshake)
    for value in VALUES.values():
        meet(value)
    assert count_calls(handshake) == before


@some_values
def test_saturn_closes_a_hostile_client_before_the_token_at_bounded_cost(value: bytes) -> None:
    sent: list[bytes] = []
    value = value[: saturn.MAX_PAYLOAD]
    packet = bytes([saturn.MAGIC, saturn.VERSION]) + len(value).to_bytes(2, "big") + value

    def meet_saturn() -> None:
        session = SaturnServerSession(SaturnDirectory("token"), sent.append)
        session.receive(packet)
        assert session.state is saturn.SessionState.CLOSED

    before = generated_functions(saturn_node._TYPES).lines
    assert count_calls(meet_saturn) < CALLS * (len(value) + FREE_ITEMS)
    assert sent == []
    assert generated_functions(saturn_node._TYPES).folded_lines == 0
    assert generated_functions(saturn_node._TYPES).lines - before < 400  # of registered types, once


@some_values
def test_esrd_refuses_a_hostile_packet_at_bounded_cost(value: bytes) -> None:
    value = value[: esrd.MAX_PAYLOAD]
    packet = bytes([esrd.VERSION, min(esrd.CLASSES)]) + len(value).to_bytes(2, "big") + value

    def refuse() -> None:
        with pytest.raises(Rejected):
            esrd_node.read(packet)

    assert count_calls(refuse) < CALLS * (len(value) + FREE_ITEMS)
