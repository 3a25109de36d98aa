"""The ESRD server without sockets: name table, registration session, answer to a datagram."""

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import corrupt_packets
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.reference_node.ergo.esrd import EsrdNameTable, EsrdServerSession, EsrdSessionState
from ergo_conformance.spec.ergo.esrd import read_packet, write_packet
from ergo_conformance.spec.parse import Parsed

A, B = Atom("a@localhost"), Atom("b@localhost")
REQUEST = RegisterRoutes(B, [route(1)])
TAKEN, INCORRECT, UNKNOWN = Error("resource is taken"), Error("incorrect value or argument"), Error("unknown")


def parsed(data: bytes | None) -> object:
    """Returns the message that the server sent, parsed with the schema."""
    assert data
    parsed = read_packet(data)
    assert isinstance(parsed, Parsed), parsed
    return parsed.value


def table_of_server() -> EsrdNameTable:
    """Returns a table with the serving node."""
    table = EsrdNameTable()
    assert table.register(A, [route(9)]) == RegisterReply(None)
    return table


def register(table: EsrdNameTable, request: RegisterRoutes = REQUEST) -> EsrdServerSession:
    session = EsrdServerSession(table)
    assert parsed(session.receive(write_packet(request))) == RegisterReply(None)
    assert session.state is EsrdSessionState.REGISTERED
    return session


def refused_reply(table: EsrdNameTable, request: RegisterRoutes) -> object:
    session = EsrdServerSession(table)
    reply = parsed(session.receive(write_packet(request)))
    assert session.state is EsrdSessionState.CLOSED
    return reply


# --- registration -----------------------------------------------------------------------------------------------------


def test_a_registration_ends_with_its_session() -> None:
    table = table_of_server()
    session = register(table)
    assert table.resolve(B) == ResolveReply([route(1)], None)
    session.end()
    assert B not in table
    assert session.state is EsrdSessionState.CLOSED
    register(table)


def test_a_taken_name_is_reported_before_missing_routes() -> None:
    table = table_of_server()
    register(table)
    for routes in (None, [], [route(2)]):
        assert refused_reply(table, RegisterRoutes(B, routes)) == RegisterReply(TAKEN)
        assert refused_reply(table, RegisterRoutes(A, routes)) == RegisterReply(TAKEN)
    assert table.resolve(B).Routes == [route(1)]


def test_the_end_of_a_refused_session_keeps_the_registration() -> None:
    table = table_of_server()
    register(table)
    session = EsrdServerSession(table)
    session.receive(write_packet(REQUEST))
    session.end()
    assert B in table
    assert A in table


def test_a_registration_without_routes_is_refused() -> None:
    table = table_of_server()
    assert refused_reply(table, RegisterRoutes(B, None)) == RegisterReply(INCORRECT)
    assert refused_reply(table, RegisterRoutes(B, [])) == RegisterReply(INCORRECT)
    assert B not in table


def test_a_registered_session_ignores_further_bytes() -> None:
    table = table_of_server()
    session = register(table)
    for data in (write_packet(RegisterRoutes(Atom("c@localhost"), [route(2)])), b"junk", bytes(100_000)):
        assert session.receive(data) == b""
    assert session.state is EsrdSessionState.REGISTERED
    assert table.resolve(B).Routes == [route(1)]
    assert Atom("c@localhost") not in table


def test_the_second_of_two_requests_in_one_segment_is_ignored() -> None:
    table = table_of_server()
    session = EsrdServerSession(table)
    two = write_packet(REQUEST) + write_packet(RegisterRoutes(Atom("c@localhost"), [route(2)]))
    assert parsed(session.receive(two)) == RegisterReply(None)
    assert Atom("c@localhost") not in table


def test_a_request_may_arrive_in_several_segments() -> None:
    """Upstream closes (ESRD-BUG-5)."""
    data = write_packet(REQUEST)
    for size in (1, 2, 4, 60):
        table = table_of_server()
        session = EsrdServerSession(table)
        answers = [session.receive(data[at : at + size]) for at in range(0, len(data), size)]
        assert answers[:-1] == [b""] * (len(answers) - 1)
        assert parsed(answers[-1]) == RegisterReply(None)


def test_a_malformed_request_closes_its_session_without_an_answer() -> None:
    table = table_of_server()
    registered = register(table)
    for corruption in corrupt_packets(RegisterRoutes(Atom("c@localhost"), [route(1)])):
        session = EsrdServerSession(table)
        assert session.receive(corruption.data) == b"", corruption.label
        incomplete = corruption.label.startswith(("length_plus", "header_of"))  # the rest may follow
        assert session.state is (EsrdSessionState.WAITING if incomplete else EsrdSessionState.CLOSED), corruption.label
        session.end()
    assert registered.state is EsrdSessionState.REGISTERED
    assert Atom("c@localhost") not in table


def test_another_packet_closes_the_session() -> None:
    for message in (RegisterReply(None), ResolveRoutes(A), ResolveReply(None, None)):
        session = EsrdServerSession(table_of_server())
        assert session.receive(write_packet(message)) == b""
        assert session.state is EsrdSessionState.CLOSED


def test_a_request_above_the_maximum_length_closes_the_session() -> None:
    bare = len(write_packet(RegisterRoutes(B, [route(1)])))
    longest = RegisterRoutes(B, [route(1, Host="h" * (esrd.MAX_REGISTER - bare))])
    register(table_of_server(), longest)
    session = EsrdServerSession(table_of_server())
    assert session.receive(write_packet(longest._replace(Routes=[route(1, Host="h" * (4097 - bare))]))[:4]) == b""
    assert session.state is EsrdSessionState.CLOSED, "closed as soon as the header is there"


def test_bytes_after_a_request_are_not_buffered() -> None:
    session = EsrdServerSession(table_of_server())
    session.receive(write_packet(REQUEST) + bytes(100_000))
    assert session._buffer == b""


def test_a_closed_session_ignores_further_bytes() -> None:
    table = table_of_server()
    session = EsrdServerSession(table)
    session.receive(b"\0")
    assert session.receive(write_packet(REQUEST)) == b""
    assert B not in table


# --- datagrams --------------------------------------------------------------------------------------------------------


def test_a_resolve_request_gets_the_routes_or_unknown() -> None:
    table = table_of_server()
    register(table)
    for name, reply in (
        (A, ResolveReply([route(9)], None)),
        (B, ResolveReply([route(1)], None)),
        (Atom("B@localhost"), ResolveReply(None, UNKNOWN)),
        (Atom(""), ResolveReply(None, UNKNOWN)),
        (Atom("n" * 255), ResolveReply(None, UNKNOWN)),
    ):
        assert parsed(table.answer(write_packet(ResolveRoutes(name)))) == reply


def test_bytes_after_a_resolve_request_are_ignored() -> None:
    question = write_packet(ResolveRoutes(A))
    for size in (1, 100, 3000):
        assert parsed(table_of_server().answer(question + bytes(size))) == ResolveReply([route(9)], None)


def test_other_datagrams_are_not_answered() -> None:
    """Also an incomplete request, and after a valid one (ESRD-BUG-1)."""
    table = table_of_server()
    assert table.answer(write_packet(ResolveRoutes(A)))
    for data in (
        b"",
        write_packet(REQUEST),
        write_packet(ResolveReply(None, UNKNOWN)),
        *(corruption.data for corruption in corrupt_packets(ResolveRoutes(A))),
    ):
        assert table.answer(data) is None
