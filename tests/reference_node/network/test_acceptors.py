"""Acceptors (NAPI-ACC): ports, cookies, certificates, registrars, pools, over sockets of the loopback."""

import re
import socket

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.connection.tcp import KEEP_ALIVE
from ergo_conformance.reference_node.ergo.enp.proto import EnpProto
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.options import LAST_PORT, AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.network import Echo, acceptor, at, dial, echo, failure, forget, lan, ports_in_a_row, to
from tests.support.nodes import run_as_process, transport_of
from tests.support.sockets import HOST, RawPeer, eventually, port, socket_count

pytestmark = pytest.mark.real_loop


# --- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-1", "NAPI-ACC-2")
async def test_the_first_free_port_of_the_range_is_taken() -> None:
    """NAPI-ACC-1: the end is a port, not an offset; NAPI-ACC-2: nothing free."""
    first = ports_in_a_row(3)
    options = (acceptor(port=first, last_port=first + 2),)
    async with lan() as start:
        with socket.create_server((HOST, first)):
            assert port(await start("a", acceptors=options)) == first + 1
            assert port(await start("b", acceptors=options)) == first + 2
            with pytest.raises(UsageError) as caught:
                await start("c", acceptors=options)
        text = f"unable to assign requested address {HOST}: no available ports in range {first}..{first + 2}"
        assert str(caught.value) == text


@pytest.mark.covers("NAPI-ACC-1")
async def test_a_range_of_one_port() -> None:
    """NAPI-ACC-1, -2. An end before the beginning is refused; upstream takes it for a range of one."""
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
        async with lan() as start:
            with pytest.raises(UsageError, match=rf"no available ports in range {number}\.\.{number}$"):
                await start("a", acceptors=(acceptor(port=number, last_port=number),))
    with pytest.raises(UsageError, match="last_port"):
        AcceptorOptions(port=23_001, last_port=2)


@pytest.mark.covers("NAPI-ACC-1")
async def test_without_an_end_the_search_goes_on_to_50000() -> None:
    """NAPI-ACC-1; port 0 is any free one, where upstream begins at 11144."""
    assert (AcceptorOptions().port, AcceptorOptions().end) == (11_144, 50_000)
    assert (AcceptorOptions(port=60_000).end, LAST_PORT) == (60_000, 50_000)
    async with lan() as start:
        a = await start("a", acceptors=(acceptor(), acceptor()))
        assert len({each.port for each in a.network.acceptors} - {0}) == 2


@pytest.mark.covers("Acceptors: Host")
async def test_a_host_that_is_not_ours() -> None:
    """NAPI-ACC-2: the cause is said; nothing stays open."""
    first = ports_in_a_row(1)
    async with lan() as start:
        with pytest.raises(UsageError, match="cannot listen on"):
            await start("a", acceptors=(acceptor(port=first, last_port=first), acceptor(host="192.0.2.1")))
        socket.create_server((HOST, first)).close()


# --- cookie, size, flags ----------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-3", "The network: Acceptors")
async def test_an_acceptor_has_its_own_cookie() -> None:
    """NAPI-ACC-3: upstream takes the node's and refuses this one."""
    async with lan() as start:
        a, b = await start("a"), await start("b", acceptors=(acceptor(cookie="own"), acceptor(cookie="")))
        assert [each.cookie for each in b.network.acceptors] == ["own", ""]
        first, second = (each.port for each in b.network.acceptors)
        assert await failure(dial(a, b, port=first)) == "EOF"
        assert await failure(dial(a, b, port=second, cookie="own")) == "EOF"
        for number, cookie in ((first, "own"), (second, "secret"), (second, "")):
            assert (await dial(a, b, port=number, cookie=cookie)).info.pool_dsn == (f"{HOST}:{number}",)
            assert socket_count(a, b) == 3
            await forget(a, b)


@pytest.mark.covers("NAPI-ACC-4")
async def test_what_is_set_on_an_acceptor_counts_from_the_next_link_on() -> None:
    """NAPI-ACC-4: Acceptor.SetCookie, SetNetworkFlags, SetMaxMessageSize; open links stay. Upstream copies once."""
    async with lan() as start:
        a, b, c = await start("a"), await start("b"), await start("c")
        remote = await dial(a, b)
        own = b.network.acceptors[0]
        own.cookie, own.flags, own.max_message_size = "new", Flags.ENABLE, 4321
        assert await failure(dial(c, b)) == "EOF"
        info = (await dial(c, b, cookie="new")).info
        assert (info.flags, info.max_message_size) == (Flags.ENABLE, 4321)
        assert (remote.info.flags, remote.info.max_message_size) == (ehs.DEFAULT_FLAGS, 0)
        assert socket_count(a, b) == 3
        shown = b.network.info.acceptors[0]
        assert (shown.flags, shown.max_message_size) == (Flags.ENABLE, 4321)
        own.cookie = None
        c.network.node(b.name).disconnect()
        await eventually(lambda: c.name not in b.network.connections)
        assert (await dial(c, b)).name == b.name


@pytest.mark.covers("Acceptors: MaxMessageSize")
async def test_acceptors_of_one_node_differ() -> None:
    """AcceptorOptions MaxMessageSize and Flags: of this acceptor alone; a size of 0 is none, also above the node's."""
    rows = (acceptor(), acceptor(max_message_size=77_000, flags=Flags.ENABLE), acceptor(max_message_size=0))
    async with lan() as start:
        a, b = await start("a"), await start("b", acceptors=rows, max_message_size=5000)
        seen = []
        for each in b.network.acceptors:
            info = (await dial(a, b, port=each.port)).info
            seen.append((info.max_message_size, info.flags))
            await forget(a, b)
        assert seen == [(5000, ehs.DEFAULT_FLAGS), (77_000, Flags.ENABLE), (0, ehs.DEFAULT_FLAGS)]


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-7")
async def test_silent_dialers_delay_nobody() -> None:
    """NAPI-ACC-7: upstream serves one after the other."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        async with RawPeer.dial(b), RawPeer.dial(b):
            await eventually(lambda: b.network._sockets.accepting == 2)
            await dial(a, b)
            assert b.network._sockets.accepting == 2


@pytest.mark.covers("NAPI-ACC-8")
async def test_links_are_kept_alive_and_their_family_is_ipv4() -> None:
    """NAPI-ACC-8: after 15 s, on both sides."""
    async with lan() as start:
        a, b = await start("a"), await start("b@localhost", acceptors=(acceptor(host="localhost"),))
        await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        for link in (*a.network.connections[b.name].sockets, *b.network.connections[a.name].sockets):
            sock = transport_of(link).get_extra_info("socket")
            assert sock.family is socket.AF_INET
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE == 15


@pytest.mark.covers("NAPI-ACC-9")
async def test_an_acceptor_with_its_own_registrar_is_registered_there_alone() -> None:
    """NAPI-ACC-9."""
    async with lan() as start:
        common, own = EsrdRegistrar(port=0), EsrdRegistrar(port=0)
        b = await start("b", registrar=common, acceptors=(acceptor(), acceptor(registrar=own), acceptor()))
        one, two, three = (each.port for each in b.network.acceptors)
        assert [route.Port for route in await common.resolve(b.name)] == [one, three]
        assert [route.Port for route in await own.resolve(b.name)] == [two]
        shown = b.network.info.acceptors
        assert [each.registrar is None for each in shown] == [True, False, True]
        await b.network.stop()
        assert not common.registered
        assert not own.registered


@pytest.mark.covers("NAPI-ACC-9")
async def test_a_name_that_is_taken_where_it_registers() -> None:
    """NAPI-ACC-9: "unable to register node: …", and nothing stays open."""
    async with lan() as start:
        common = EsrdRegistrar(port=0)
        await start("b", registrar=common)
        number = ports_in_a_row(1)
        options = (acceptor(port=number, last_port=number, registrar=EsrdRegistrar(port=0)),)
        for node, acceptors in ((EsrdRegistrar(port=common.port), options), (None, ())):
            own = () if node else (acceptor(registrar=EsrdRegistrar(port=common.port)),)
            with pytest.raises(UsageError, match=r"^unable to register node: resource is taken$"):
                await start("b", registrar=node, acceptors=(*acceptors, *own, acceptor()))
        socket.create_server((HOST, number)).close()


@pytest.mark.covers("Options of the network: handshake.Options.PoolSize", "NAPI-ACC-10")
@pytest.mark.parametrize(("pool", "other"), [(5, 1), (1, 5), (3, 3)])
async def test_the_accepting_side_decides_the_size_of_the_pool(pool: int, other: int) -> None:
    """NAPI-ACC-10: with its address in MessageAccept; the dialer opens the rest."""
    async with lan() as start:
        a = await start("a", handshake=EhsHandshake(pool_size=other))
        b = await start("b", handshake=EhsHandshake(pool_size=pool))
        info = (await dial(a, b)).info
        assert (info.pool_size, info.pool_dsn) == (pool, (f"{HOST}:{port(b)}",))
        await eventually(lambda: socket_count(a, b) == socket_count(b, a) == pool)


# --- a stack of one's own ---------------------------------------------------------------------------------------------


class Renamed(EnpProto):
    """ENP under another name."""

    version = Version("MINE", "R7")


@pytest.mark.covers("Acceptors: Handshake", "The network: RegisterHandshake")
async def test_an_acceptor_has_its_own_handshake_and_proto() -> None:
    """AcceptorOptions.Handshake and Proto: registered for dialing, too, and named in routes and in what is told."""
    async with lan() as start:
        own = acceptor(handshake=EhsHandshake(pool_size=2), proto=Renamed())
        b = await start("b", acceptors=(acceptor(), own), registrar=EsrdRegistrar(port=0))
        a = await start("a")
        assert await failure(dial(a, b, proto_version=Version("MINE", "R7"))) == "no route"
        a.network.register_proto(Renamed())
        number = b.network.acceptors[1].port
        remote = await dial(a, b, port=number, proto_version=Version("MINE", "R7"))
        assert (remote.info.pool_size, remote.info.proto_version.Name) == (2, "MINE")
        await eventually(lambda: a.name in b.network.connections)
        assert b.network.node(a.name).info.proto_version == Version("MINE", "R7")
        echo(b)
        assert await run_as_process(a, lambda it: it.call(at(b), 1)) == 1
        routes = await b.network.registrar.resolver.resolve(b.name)
        assert [route.ProtoVersion.Name for route in routes] == ["ENP", "MINE"]
        await forget(a, b)
        a.network.add_route("b@", to(b, port=number))
        assert (await b.network.get_node_with_route(a.name, to(a, proto_version=Version("MINE", "R7")))).name == a.name


@pytest.mark.covers("NAPI-RT-6: Acceptors: AtomMapping")
async def test_atoms_are_mapped_both_ways_over_an_accepted_link() -> None:
    """NAPI-RT-6: AcceptorOptions.AtomMapping; here `ours` is what the peer calls `theirs`."""
    async with lan() as start:
        b = await start("b", acceptors=(acceptor(atom_mapping={"ours": "theirs"}), acceptor()))
        a = await start("a")
        _, actor = echo(b)
        _, asker = echo(a)
        await dial(a, b)
        await run_as_process(a, lambda it: it.send(at(b), Atom("theirs")))
        await run_as_process(b, lambda it: it.send(at(a), Atom("ours")))
        assert await run_as_process(a, lambda it: it.call(at(b), [Atom("theirs"), Atom("x")])) == [
            Atom("theirs"),
            Atom("x"),
        ]
        await eventually(lambda: actor.got and asker.got)
        assert (actor.got, asker.got) == ([Atom("ours")], [Atom("theirs")])
        await forget(a, b)
        await dial(a, b, port=b.network.acceptors[1].port)
        await run_as_process(a, lambda it: it.send(at(b), Atom("theirs")))
        await eventually(lambda: len(actor.got) == 2)
        assert actor.got[1] == Atom("theirs")


@pytest.mark.covers("NAPI-RT-6: Acceptors: AtomMapping")
@pytest.mark.parametrize("mapping", [{"a" * 256: "b"}, {"a": "b" * 256}])
def test_a_mapping_is_one_of_atoms(mapping: dict[str, str]) -> None:
    """NAPI-RT-6."""
    with pytest.raises(UsageError, match=re.escape("too long Atom (max: 255)")):
        AcceptorOptions(atom_mapping=mapping)


@pytest.mark.covers("The network: listen")
async def test_one_more_acceptor_while_the_network_runs() -> None:
    """Ours alone: Network.listen."""
    async with lan() as start:
        a, b = await start("a"), await start("b", acceptors=(acceptor(cookie="x"),))
        more = await b.network.listen(acceptor())
        assert b.network.acceptors[1] is more
        b.network.enable_spawn("f", Echo)
        assert (await (await dial(a, b, port=more.port)).spawn("f")).node == b.name
