"""The registrar without sockets: its table, a registration link, the answer to a datagram."""

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


def said(data: bytes | None) -> object:
    """The message that the server sent, by the schema."""
    assert data
    parsed = read_packet(data)
    assert isinstance(parsed, Parsed), parsed
    return parsed.value


def serving() -> EsrdNameTable:
    """A table with the node that serves."""
    table = EsrdNameTable()
    assert table.register(A, [route(9)]) == RegisterReply(None)
    return table


def registered(table: EsrdNameTable, request: RegisterRoutes = REQUEST) -> EsrdServerSession:
    link = EsrdServerSession(table)
    assert said(link.receive(write_packet(request))) == RegisterReply(None)
    assert link.state is EsrdSessionState.REGISTERED
    return link


def refused(table: EsrdNameTable, request: RegisterRoutes) -> object:
    link = EsrdServerSession(table)
    reply = said(link.receive(write_packet(request)))
    assert link.state is EsrdSessionState.CLOSED
    return reply


# --- a link -----------------------------------------------------------------------------------------------------------


def test_a_lease() -> None:
    table = serving()
    link = registered(table)
    assert table.resolve(B) == ResolveReply([route(1)], None)
    link.end()
    assert B not in table
    assert link.state is EsrdSessionState.CLOSED
    registered(table)


def test_a_name_that_is_taken_comes_before_missing_routes() -> None:
    table = serving()
    registered(table)
    for routes in (None, [], [route(2)]):
        assert refused(table, RegisterRoutes(B, routes)) == RegisterReply(TAKEN)
        assert refused(table, RegisterRoutes(A, routes)) == RegisterReply(TAKEN)
    assert table.resolve(B).Routes == [route(1)]


def test_who_was_refused_takes_no_lease_with_it() -> None:
    table = serving()
    registered(table)
    link = EsrdServerSession(table)
    link.receive(write_packet(REQUEST))
    link.end()
    assert B in table
    assert A in table


def test_no_routes() -> None:
    table = serving()
    assert refused(table, RegisterRoutes(B, None)) == RegisterReply(INCORRECT)
    assert refused(table, RegisterRoutes(B, [])) == RegisterReply(INCORRECT)
    assert B not in table


def test_a_registered_link_is_deaf() -> None:
    table = serving()
    link = registered(table)
    for data in (write_packet(RegisterRoutes(Atom("c@localhost"), [route(2)])), b"junk", bytes(100_000)):
        assert link.receive(data) == b""
    assert link.state is EsrdSessionState.REGISTERED
    assert table.resolve(B).Routes == [route(1)]
    assert Atom("c@localhost") not in table


def test_of_two_requests_in_one_piece_the_first_one_counts() -> None:
    table = serving()
    link = EsrdServerSession(table)
    two = write_packet(REQUEST) + write_packet(RegisterRoutes(Atom("c@localhost"), [route(2)]))
    assert said(link.receive(two)) == RegisterReply(None)
    assert Atom("c@localhost") not in table


def test_a_request_may_come_in_pieces() -> None:
    """Upstream closes (ESRD-BUG-5)."""
    data = write_packet(REQUEST)
    for size in (1, 2, 4, 60):
        table = serving()
        link = EsrdServerSession(table)
        answers = [link.receive(data[at : at + size]) for at in range(0, len(data), size)]
        assert answers[:-1] == [b""] * (len(answers) - 1)
        assert said(answers[-1]) == RegisterReply(None)


def test_every_malformed_request_closes_its_link_without_a_word() -> None:
    table = serving()
    lease = registered(table)
    for damage in corrupt_packets(RegisterRoutes(Atom("c@localhost"), [route(1)])):
        link = EsrdServerSession(table)
        assert link.receive(damage.data) == b"", damage.label
        waits = damage.label.startswith(("length_plus", "header_of"))  # the rest may still come
        assert link.state is (EsrdSessionState.WAITING if waits else EsrdSessionState.CLOSED), damage.label
        link.end()
    assert lease.state is EsrdSessionState.REGISTERED
    assert Atom("c@localhost") not in table


def test_another_packet_closes_the_link() -> None:
    for message in (RegisterReply(None), ResolveRoutes(A), ResolveReply(None, None)):
        link = EsrdServerSession(serving())
        assert link.receive(write_packet(message)) == b""
        assert link.state is EsrdSessionState.CLOSED


def test_the_longest_request() -> None:
    bare = len(write_packet(RegisterRoutes(B, [route(1)])))
    longest = RegisterRoutes(B, [route(1, Host="h" * (esrd.MAX_REGISTER - bare))])
    registered(serving(), longest)
    link = EsrdServerSession(serving())
    assert link.receive(write_packet(longest._replace(Routes=[route(1, Host="h" * (4097 - bare))]))[:4]) == b""
    assert link.state is EsrdSessionState.CLOSED, "closed as soon as the header is there"


def test_nothing_is_held_back_behind_a_request() -> None:
    link = EsrdServerSession(serving())
    link.receive(write_packet(REQUEST) + bytes(100_000))
    assert link._buffer == b""


def test_a_link_that_was_closed_hears_nothing() -> None:
    table = serving()
    link = EsrdServerSession(table)
    link.receive(b"\0")
    assert link.receive(write_packet(REQUEST)) == b""
    assert B not in table


# --- datagrams --------------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer() -> None:
    table = serving()
    registered(table)
    for name, reply in (
        (A, ResolveReply([route(9)], None)),
        (B, ResolveReply([route(1)], None)),
        (Atom("B@localhost"), ResolveReply(None, UNKNOWN)),
        (Atom(""), ResolveReply(None, UNKNOWN)),
        (Atom("n" * 255), ResolveReply(None, UNKNOWN)),
    ):
        assert said(table.answer(write_packet(ResolveRoutes(name)))) == reply


def test_what_stands_behind_a_question_is_not_read() -> None:
    question = write_packet(ResolveRoutes(A))
    for size in (1, 100, 3000):
        assert said(serving().answer(question + bytes(size))) == ResolveReply([route(9)], None)


def test_anything_else_is_met_with_silence() -> None:
    """A question without its end, too, whatever was asked before (ESRD-BUG-1)."""
    table = serving()
    assert table.answer(write_packet(ResolveRoutes(A)))
    for data in (
        b"",
        write_packet(REQUEST),
        write_packet(ResolveReply(None, UNKNOWN)),
        *(damage.data for damage in corrupt_packets(ResolveRoutes(A))),
    ):
        assert table.answer(data) is None
