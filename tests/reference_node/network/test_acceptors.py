"""Acceptors (NAPI-ACC): ports, cookies, certificates, registrars, pools, over sockets on the loopback."""

import re
import socket
from dataclasses import replace

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.connection.tcp import KEEP_ALIVE
from ergo_conformance.reference_node.ergo.enp.proto import EnpProto
from ergo_conformance.reference_node.options import LAST_PORT, AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.consumers import error_text
from tests.support.loopback_nodes import (
    Echo,
    dial,
    disconnect,
    loopback_acceptor,
    node_starter,
    process_id,
    route_to,
    spawn_echo,
)
from tests.support.nodes import run_as_process, transport_of
from tests.support.ports import free_port, free_ports
from tests.support.settings import LONG_DEADLINES
from tests.support.sockets import HOST, RawPeer, eventually, port, socket_count

pytestmark = pytest.mark.real_loop


# --- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-1", "NAPI-ACC-2")
async def test_the_first_free_port_of_the_range_is_used() -> None:
    """NAPI-ACC-1: the end is a port, not an offset; NAPI-ACC-2: no free port."""
    first = free_ports(3)
    options = (loopback_acceptor(port=first, last_port=first + 2),)
    async with node_starter() as start:
        with socket.create_server((HOST, first)):
            assert port(await start("a", acceptors=options)) == first + 1
            assert port(await start("b", acceptors=options)) == first + 2
            with pytest.raises(UsageError) as caught:
                await start("c", acceptors=options)
        text = f"unable to assign requested address {HOST}: no available ports in range {first}..{first + 2}"
        assert str(caught.value) == text


@pytest.mark.covers("NAPI-ACC-1")
async def test_a_taken_range_of_one_port_fails_the_start() -> None:
    """NAPI-ACC-1, -2. An end before the first port is UsageError; for upstream it is a range of one port."""
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
        async with node_starter() as start:
            with pytest.raises(UsageError, match=rf"no available ports in range {number}\.\.{number}$"):
                await start("a", acceptors=(loopback_acceptor(port=number, last_port=number),))
    with pytest.raises(UsageError, match="last_port"):
        AcceptorOptions(port=23_001, last_port=2)


@pytest.mark.covers("NAPI-ACC-1")
async def test_a_range_without_an_end_ends_at_50000() -> None:
    """NAPI-ACC-1; port 0 is any free port, for upstream it is 11144."""
    assert (AcceptorOptions().port, AcceptorOptions().end) == (11_144, 50_000)
    assert (AcceptorOptions(port=60_000).end, LAST_PORT) == (60_000, 50_000)
    async with node_starter() as start:
        a = await start("a", acceptors=(loopback_acceptor(), loopback_acceptor()))
        assert len({each.port for each in a.network.acceptors} - {0}) == 2


@pytest.mark.covers("Acceptors: Host")
async def test_a_foreign_host_fails_the_start() -> None:
    """NAPI-ACC-2: the error has the cause; no socket stays open."""
    first = free_port()
    async with node_starter() as start:
        with pytest.raises(UsageError, match="cannot listen on"):
            await start(
                "a", acceptors=(loopback_acceptor(port=first, last_port=first), loopback_acceptor(host="192.0.2.1"))
            )
        socket.create_server((HOST, first)).close()


# --- cookie, size, flags ----------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-3", "The network: Acceptors")
async def test_an_acceptor_has_its_own_cookie() -> None:
    """NAPI-ACC-3: upstream accepts the node's cookie and refuses this one."""
    async with node_starter() as start:
        a, b = (
            await start("a"),
            await start("b", acceptors=(loopback_acceptor(cookie="own"), loopback_acceptor(cookie=""))),
        )
        assert [each.cookie for each in b.network.acceptors] == ["own", ""]
        first, second = (each.port for each in b.network.acceptors)
        assert await error_text(dial(a, b, port=first)) == "EOF"
        assert await error_text(dial(a, b, port=second, cookie="own")) == "EOF"
        for number, cookie in ((first, "own"), (second, "secret"), (second, "")):
            assert (await dial(a, b, port=number, cookie=cookie)).info.pool_dsn == (f"{HOST}:{number}",)
            assert socket_count(a, b) == 3
            await disconnect(a, b)


@pytest.mark.covers("NAPI-ACC-4")
async def test_settings_of_an_acceptor_apply_to_new_sockets() -> None:
    """NAPI-ACC-4: Acceptor.SetCookie, SetNetworkFlags, SetMaxMessageSize; open sockets stay. Upstream copies once."""
    async with node_starter() as start:
        a, b, c = await start("a"), await start("b"), await start("c")
        remote = await dial(a, b)
        own = b.network.acceptors[0]
        own.cookie, own.flags, own.max_message_size = "new", Flags.ENABLE, 4321
        assert await error_text(dial(c, b)) == "EOF"
        info = (await dial(c, b, cookie="new")).info
        assert (info.flags, info.max_message_size) == (Flags.ENABLE, 4321)
        assert (remote.info.flags, remote.info.max_message_size) == (ehs.DEFAULT_FLAGS, 0)
        assert socket_count(a, b) == 3
        infos = b.network.info.acceptors[0]
        assert (infos.flags, infos.max_message_size) == (Flags.ENABLE, 4321)
        own.cookie = None
        c.network.node(b.name).disconnect()
        await eventually(lambda: c.name not in b.network.connections)
        assert (await dial(c, b)).name == b.name


@pytest.mark.covers("Acceptors: MaxMessageSize")
async def test_acceptors_have_their_own_size_and_flags() -> None:
    """AcceptorOptions MaxMessageSize and Flags; a size of 0 is no limit, also if the node has one."""
    rows = (
        loopback_acceptor(),
        loopback_acceptor(max_message_size=77_000, flags=Flags.ENABLE),
        loopback_acceptor(max_message_size=0),
    )
    async with node_starter() as start:
        a, b = await start("a"), await start("b", acceptors=rows, max_message_size=5000)
        seen = []
        for each in b.network.acceptors:
            info = (await dial(a, b, port=each.port)).info
            seen.append((info.max_message_size, info.flags))
            await disconnect(a, b)
        assert seen == [(5000, ehs.DEFAULT_FLAGS), (77_000, Flags.ENABLE), (0, ehs.DEFAULT_FLAGS)]


# --- sockets ----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-ACC-7")
async def test_silent_dialers_do_not_delay_others() -> None:
    """NAPI-ACC-7: upstream runs one handshake after another."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        async with RawPeer.dial(b), RawPeer.dial(b):
            await eventually(lambda: b.network._sockets.accepting == 2)
            await dial(a, b)
            assert b.network._sockets.accepting == 2


@pytest.mark.covers("NAPI-ACC-8")
async def test_sockets_use_ipv4_and_tcp_keep_alive() -> None:
    """NAPI-ACC-8: after 15 s, on both sides."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b@localhost", acceptors=(loopback_acceptor(host="localhost"),))
        await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        for open_socket in (*a.network.connections[b.name].sockets, *b.network.connections[a.name].sockets):
            sock = transport_of(open_socket).get_extra_info("socket")
            assert sock.family is socket.AF_INET
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE == 15


@pytest.mark.covers("NAPI-ACC-9")
async def test_an_acceptor_with_a_registrar_is_registered_only_there() -> None:
    """NAPI-ACC-9."""
    async with node_starter() as start:
        common, own = EsrdRegistrar(port=0), EsrdRegistrar(port=0)
        b = await start(
            "b",
            registrar=common,
            acceptors=(loopback_acceptor(), loopback_acceptor(registrar=own), loopback_acceptor()),
        )
        one, two, three = (each.port for each in b.network.acceptors)
        assert [route.Port for route in await common.resolve(b.name)] == [one, three]
        assert [route.Port for route in await own.resolve(b.name)] == [two]
        infos = b.network.info.acceptors
        assert [each.registrar is None for each in infos] == [True, False, True]
        await b.network.stop()
        assert not common.registered
        assert not own.registered


@pytest.mark.covers("NAPI-ACC-9")
async def test_a_name_taken_at_the_registrar_fails_the_start() -> None:
    """NAPI-ACC-9: "unable to register node: …", and no socket stays open."""
    async with node_starter() as start:
        common = EsrdRegistrar(port=0)
        await start("b", registrar=common)
        number = free_port()
        options = (loopback_acceptor(port=number, last_port=number, registrar=EsrdRegistrar(port=0)),)
        for node, acceptors in ((EsrdRegistrar(port=common.port), options), (None, ())):
            own = () if node else (loopback_acceptor(registrar=EsrdRegistrar(port=common.port)),)
            with pytest.raises(UsageError, match=r"^unable to register node: resource is taken$"):
                await start("b", registrar=node, acceptors=(*acceptors, *own, loopback_acceptor()))
        socket.create_server((HOST, number)).close()


@pytest.mark.covers("Options of the network: handshake.Options.PoolSize", "NAPI-ACC-10")
@pytest.mark.parametrize(("pool", "other"), [(5, 1), (1, 5), (3, 3)])
async def test_the_accepting_side_determines_the_pool_size(pool: int, other: int) -> None:
    """NAPI-ACC-10: MessageAccept has its address; the dialer opens the other sockets."""
    async with node_starter() as start:
        a = await start("a", handshake=replace(LONG_DEADLINES, pool_size=other))
        b = await start("b", handshake=replace(LONG_DEADLINES, pool_size=pool))
        info = (await dial(a, b)).info
        assert (info.pool_size, info.pool_dsn) == (pool, (f"{HOST}:{port(b)}",))
        await eventually(lambda: socket_count(a, b) == socket_count(b, a) == pool)


# --- custom stack -----------------------------------------------------------------------------------------------------


class RenamedProto(EnpProto):
    """ENP under another name."""

    version = Version("MINE", "R7")


@pytest.mark.covers("Acceptors: Handshake", "The network: RegisterHandshake")
async def test_an_acceptor_has_its_own_handshake_and_proto() -> None:
    """AcceptorOptions.Handshake and Proto: also for dialing; routes and information have their versions."""
    async with node_starter() as start:
        own = loopback_acceptor(handshake=replace(LONG_DEADLINES, pool_size=2), proto=RenamedProto())
        b = await start("b", acceptors=(loopback_acceptor(), own), registrar=EsrdRegistrar(port=0))
        a = await start("a")
        assert await error_text(dial(a, b, proto_version=Version("MINE", "R7"))) == "no route"
        a.network.register_proto(RenamedProto())
        number = b.network.acceptors[1].port
        remote = await dial(a, b, port=number, proto_version=Version("MINE", "R7"))
        assert (remote.info.pool_size, remote.info.proto_version.Name) == (2, "MINE")
        await eventually(lambda: a.name in b.network.connections)
        assert b.network.node(a.name).info.proto_version == Version("MINE", "R7")
        spawn_echo(b)
        assert await run_as_process(a, lambda it: it.call(process_id(b), 1)) == 1
        routes = await b.network.registrar.resolver.resolve(b.name)
        assert [route.ProtoVersion.Name for route in routes] == ["ENP", "MINE"]
        await disconnect(a, b)
        a.network.add_route("b@", route_to(b, port=number))
        assert (
            await b.network.get_node_with_route(a.name, route_to(a, proto_version=Version("MINE", "R7")))
        ).name == a.name


@pytest.mark.covers("NAPI-RT-6: Acceptors: AtomMapping")
async def test_an_acceptor_maps_atoms_in_both_directions() -> None:
    """NAPI-RT-6: AcceptorOptions.AtomMapping; the local `ours` is `theirs` for the peer."""
    async with node_starter() as start:
        b = await start("b", acceptors=(loopback_acceptor(atom_mapping={"ours": "theirs"}), loopback_acceptor()))
        a = await start("a")
        _, actor = spawn_echo(b)
        _, recorder = spawn_echo(a)
        await dial(a, b)
        await run_as_process(a, lambda it: it.send(process_id(b), Atom("theirs")))
        await run_as_process(b, lambda it: it.send(process_id(a), Atom("ours")))
        assert await run_as_process(a, lambda it: it.call(process_id(b), [Atom("theirs"), Atom("x")])) == [
            Atom("theirs"),
            Atom("x"),
        ]
        await eventually(lambda: actor.received and recorder.received)
        assert (actor.received, recorder.received) == ([Atom("ours")], [Atom("theirs")])
        await disconnect(a, b)
        await dial(a, b, port=b.network.acceptors[1].port)
        await run_as_process(a, lambda it: it.send(process_id(b), Atom("theirs")))
        await eventually(lambda: len(actor.received) == 2)
        assert actor.received[1] == Atom("theirs")


@pytest.mark.covers("NAPI-RT-6: Acceptors: AtomMapping")
@pytest.mark.parametrize("mapping", [{"a" * 256: "b"}, {"a": "b" * 256}])
def test_an_atom_mapping_with_a_long_text_is_refused(mapping: dict[str, str]) -> None:
    """NAPI-RT-6."""
    with pytest.raises(UsageError, match=re.escape("too long Atom (max: 255)")):
        AcceptorOptions(atom_mapping=mapping)


@pytest.mark.covers("The network: listen")
async def test_listen_adds_an_acceptor_to_a_running_network() -> None:
    """Network.listen, which upstream does not have."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", acceptors=(loopback_acceptor(cookie="x"),))
        more = await b.network.listen(loopback_acceptor())
        assert b.network.acceptors[1] is more
        b.network.enable_spawn("f", Echo)
        assert (await (await dial(a, b, port=more.port)).spawn("f")).node == b.name
