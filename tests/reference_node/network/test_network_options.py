"""The options of a node's network (NAPI-OPT), over sockets on the loopback."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.handshake import ConnectionRef, LocalIdentity, SocketInfo
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.ergo.handshake import EHS, EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import DEFAULT_PORT, NetworkMode, NetworkOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.consumers import error_text
from tests.support.loopback_nodes import Echo, dial, node_starter, process_id, route_to, spawn_echo
from tests.support.nodes import run_as_process
from tests.support.settings import LONG_DEADLINES, start_node
from tests.support.sockets import ACCEPTORS, HOST, eventually, port

pytestmark = pytest.mark.real_loop


def connection_of(node: Node, peer: Node) -> Connection:
    return node.network.connections[peer.name]


# --- mode -------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-OPT-1")
async def test_a_hidden_node_dials_but_cannot_be_dialed() -> None:
    """NAPI-OPT-1."""
    async with node_starter() as start:
        b = await start("b", registrar=EsrdRegistrar(port=0))
        registrar = b.network.registrar
        assert isinstance(registrar, EsrdRegistrar)
        a = await start("a", mode=NetworkMode.HIDDEN, registrar=EsrdRegistrar(port=registrar.port))
        assert (a.network.mode, a.network.acceptors) == (NetworkMode.HIDDEN, [])
        assert await error_text(b.network.get_node(a.name)) == "no route"
        await a.network.get_node(b.name)
        await eventually(lambda: a.name in b.network.connections)
        for node in (a, b):
            spawn_echo(node)
            node.network.enable_spawn("factory", Echo)
        for one, other in ((a, b), (b, a)):
            asked: Any = process_id(other)
            assert await run_as_process(one, lambda it, asked=asked: it.call(asked, 5)) == 5  # type: ignore[misc]
            pid = await one.network.node(other.name).spawn("factory")
            assert pid.node == other.name
        b.network.node(a.name).disconnect()
        assert await error_text(b.network.get_node(a.name)) == "no route"
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-OPT-1", "The network: Mode")
async def test_an_enabled_node_listens_and_registers() -> None:
    """NAPI-OPT-1."""
    async with node_starter() as start:
        b = await start("b", registrar=EsrdRegistrar(port=0))
        registrar = b.network.registrar
        assert isinstance(registrar, EsrdRegistrar)
        assert b.network.mode is NetworkMode.ENABLED
        [route] = await registrar.resolve(b.name)
        assert (route.Port, route.TLS) == (port(b), False)


# --- cookie, size, flags ----------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-OPT-4")
async def test_an_empty_cookie_is_replaced_by_a_random_one() -> None:
    """NAPI-OPT-4."""
    async with node_starter() as start:
        a, b = await start("a", cookie=""), await start("b", cookie="")
        assert len(a.network.cookie) == len(b.network.cookie) == 16
        assert a.network.cookie != b.network.cookie
        assert await error_text(dial(a, b)) == "EOF"


@pytest.mark.covers("NAPI-OPT-4")
async def test_a_wrong_cookie_is_refused_in_both_directions() -> None:
    """NAPI-OPT-4: "EOF" with a route, "no route" without."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", cookie="other")
        for one, other in ((a, b), (b, a)):
            assert await error_text(dial(one, other)) == "EOF"
            one.network.add_route(str(other.name), route_to(other))
            assert await error_text(one.network.get_node(other.name)) == "no route"
        b.network.cookie = "secret"
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-OPT-5")
async def test_a_message_above_the_size_of_the_peer_raises_too_large() -> None:
    """NAPI-OPT-5: "too large"; shorter messages arrive, and the socket stays."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", max_message_size=1000)
        spawn_echo(b)
        remote = await dial(a, b)
        assert remote.info.max_message_size == 1000
        assert await error_text(run_as_process(a, lambda it: it.send(process_id(b), "x" * 1000))) == "too large"
        assert await run_as_process(a, lambda it: it.call(process_id(b), "x" * 500)) == "x" * 500


@pytest.mark.covers("NAPI-OPT-5")
async def test_a_received_frame_above_the_size_closes_its_socket() -> None:
    """NAPI-OPT-5: the sender ignores the announced size."""
    async with node_starter() as start:
        a = await start("a")
        b = await start("b", max_message_size=1000, handshake=replace(LONG_DEADLINES, pool_size=1))
        await dial(a, b)
        await eventually(lambda: a.name in b.network.connections)
        peer = connection_of(a, b).peer
        object.__setattr__(peer, "max_message_size", 0)
        await run_as_process(a, lambda it: it.send(process_id(b), "x" * 1000))
        await eventually(lambda: not a.network.connections and not b.network.connections)


@pytest.mark.covers("NAPI-OPT-5")
async def test_a_size_of_0_is_no_limit() -> None:
    """NAPI-OPT-5: a size of 0. A negative size is UsageError, for upstream it is 0."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        spawn_echo(b)
        await dial(a, b)
        text = "x" * 60_000
        assert await run_as_process(a, lambda it: it.call(process_id(b), [text] * 5)) == [text] * 5
    with pytest.raises(UsageError, match="max_message_size"):
        NetworkOptions(max_message_size=-1)


@pytest.mark.covers("NAPI-OPT-6")
@pytest.mark.parametrize(
    ("flags", "announced"),
    [
        (None, ehs.DEFAULT_FLAGS),
        (Flags(0), ehs.DEFAULT_FLAGS),
        (Flags.REMOTE_SPAWN, ehs.DEFAULT_FLAGS),
        (Flags.ENABLE, Flags.ENABLE),
        (Flags.ENABLE | Flags.FRAGMENTATION | Flags.PROXY_TRANSIT,) * 2,
    ],
)
async def test_flags_without_enable_are_the_defaults(flags: Flags | None, announced: Flags) -> None:
    """NAPI-OPT-6: what both sides announce."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", flags=flags)
        assert (await dial(a, b)).info.flags == announced
        await eventually(lambda: a.name in b.network.connections)
        b.network.node(a.name).disconnect()
        await eventually(lambda: not a.network.connections)
        await dial(b, a)
        await eventually(lambda: b.name in a.network.connections)
        assert a.network.node(b.name).info.flags == announced


@pytest.mark.covers("NAPI-OPT-6")
def test_flags_have_the_bits_of_the_framework() -> None:
    """NAPI-OPT-6."""
    bits = {flag.name: flag.value for flag in Flags}
    expected = {
        "ENABLE": 1, "REMOTE_SPAWN": 2, "REMOTE_APPLICATION_START": 4, "FRAGMENTATION": 8, "PROXY_TRANSIT": 16,
        "PROXY_ACCEPT": 32, "IMPORTANT_DELIVERY": 64,
    }  # fmt: skip
    assert {name: bits[name] for name in expected} == expected
    assert ehs.DEFAULT_FLAGS.value == 1 | 2 | 4 | 32 | 64


@pytest.mark.covers("The network: Cookie", "The network: MaxMessageSize")
async def test_cookie_size_and_flags_of_a_running_network_apply_to_new_sockets() -> None:
    """SetCookie, SetMaxMessageSize, SetNetworkFlags: they apply to new sockets (upstream: NAPI-ACC-4)."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.cookie, b.network.max_message_size, b.network.flags = "new", 7777, Flags.ENABLE
        assert await error_text(dial(a, b)) == "EOF"
        info = (await dial(a, b, cookie="new")).info
        assert (info.max_message_size, info.flags) == (7777, Flags.ENABLE)
        info_of_b = b.network.info
        assert (info_of_b.max_message_size, info_of_b.flags) == (7777, Flags.ENABLE)
        b.network.flags, b.network.max_message_size = Flags(0), -1
        assert (b.network.info.flags, b.network.info.max_message_size) == (ehs.DEFAULT_FLAGS, 0)
        a.network.node(b.name).disconnect()
        await eventually(lambda: not b.network.connections)
        info = (await dial(a, b, cookie="new")).info
        assert (info.max_message_size, info.flags) == (0, ehs.DEFAULT_FLAGS)


@pytest.mark.covers("The network: Cookie")
async def test_an_empty_cookie_of_a_running_network_admits_no_node() -> None:
    """NAPI-OPT-4: for upstream an empty cookie is a valid secret."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        for node in (a, b):
            node.network.cookie = ""
        assert await error_text(dial(a, b)) == "EOF"
        a.network.cookie = "secret"
        assert await error_text(dial(a, b)) == "EOF"


# --- registrar, handshake, proto --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordingHandshake(EhsHandshake):
    """EHS that records the calls of its methods; `called` is its version."""

    called: Version = EHS
    used: list[str] = field(default_factory=list)

    def start(self, local: LocalIdentity, info: SocketInfo) -> EhsSession:
        self.used.append("start")
        return super().start(local, info)

    def join(self, local: LocalIdentity, info: SocketInfo, membership: ConnectionRef) -> EhsSession:
        self.used.append("join")
        return super().join(local, info, membership)

    def accept(self, local: LocalIdentity, info: SocketInfo) -> EhsSession:
        self.used.append("accept")
        return super().accept(local, info)

    @property
    def version(self) -> Version:  # type: ignore[override]  # a class attribute of EhsHandshake
        return self.called


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Registrar")
def test_the_default_registrar_is_the_embedded_one() -> None:
    """NAPI-OPT-7."""
    registrar = NetworkOptions().registrar
    assert isinstance(registrar, EsrdRegistrar)
    assert (registrar.host, registrar.port, registrar.may_serve) == ("localhost", 4499, True)


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Registrar", "The network: Registrar")
async def test_a_node_without_a_registrar_uses_only_static_routes() -> None:
    """NAPI-OPT-7: None is no registrar; upstream uses the embedded one."""
    async with node_starter() as start:
        a, b = await start("a", registrar=None), await start("b")
        assert await error_text(a.network.get_node(b.name)) == "no route"
        a.network.add_route("b@", route_to(b))
        assert (await a.network.get_node(b.name)).name == b.name
        with pytest.raises(Exception, match="no route"):
            _ = a.network.registrar


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Handshake", "Connections: NetworkHandshake")
@pytest.mark.parametrize("mode", [NetworkMode.ENABLED, NetworkMode.HIDDEN])
async def test_the_handshake_option_is_used_for_dialing_and_accepting(mode: NetworkMode) -> None:
    """NAPI-OPT-7: also in hidden mode, and with the built-in name; upstream does not use it there for dialing."""
    async with node_starter() as start:
        handshake = RecordingHandshake(deadlines=LONG_DEADLINES.deadlines)
        a, b = await start("a", mode=mode, handshake=handshake), await start("b")
        await dial(a, b)
        assert handshake.used == ["start", "join", "join"]
        if mode is NetworkMode.ENABLED:
            a.network.node(b.name).disconnect()
            await eventually(lambda: not b.network.connections)
            await dial(b, a)
            assert handshake.used == ["start", "join", "join", "accept", "accept", "accept"]


@pytest.mark.covers("The network: RegisterHandshake")
async def test_a_registered_handshake_is_selected_by_the_version_of_a_route() -> None:
    """RegisterHandshake: the first one of a name is used; an unknown name is "no route"."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        mine = Version("MINE", "R1")
        assert await error_text(dial(a, b, handshake_version=mine)) == "no route"
        handshakes = [
            RecordingHandshake(called=mine, deadlines=LONG_DEADLINES.deadlines),
            RecordingHandshake(called=mine, deadlines=LONG_DEADLINES.deadlines),
        ]
        for handshake in handshakes:
            a.network.register_handshake(handshake)
        a.network.register_proto(a.network.options.proto)
        remote = await dial(a, b, handshake_version=mine)
        assert [h.used for h in handshakes] == [["start", "join", "join"], []]
        assert remote.info.handshake_version == mine


@pytest.mark.covers("Options of the network: handshake.Options.PoolSize")
def test_the_pool_size_is_1_to_64() -> None:
    """handshake.Options.PoolSize, default 3."""
    assert EhsHandshake().pool_size == ehs.POOL_SIZE == 3
    for size in (0, -1, 65):
        with pytest.raises(UsageError, match="pool_size"):
            EhsHandshake(pool_size=size)


# --- acceptors, TLS, name ---------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-OPT-8", "Acceptors: Host")
async def test_the_default_acceptor_listens_on_the_host_of_the_name() -> None:
    """NAPI-OPT-8: the first free port from 11144 up."""
    async with node_starter() as start:
        one = await start(f"a@{HOST}", acceptors=())
        two = await start(f"b@{HOST}", acceptors=())
        assert [a.host for node in (one, two) for a in node.network.acceptors] == [HOST, HOST]
        assert DEFAULT_PORT == 11_144 <= port(one) < port(two)


@pytest.mark.covers("NAPI-OPT-10")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "incorrect FQDN node name (example: node@localhost)"),
        ("", "incorrect FQDN node name (example: node@localhost)"),
        ("a@b@c", "incorrect FQDN node name (example: node@localhost)"),
        ("@b", "too short node name"),
        ("a@", "too short host name"),
        ("a@" + "b" * 254, "too long Atom (max: 255)"),
    ],
)
async def test_an_invalid_node_name_is_a_usage_error(name: str, text: str) -> None:
    """NAPI-OPT-10."""
    with pytest.raises(UsageError) as caught:
        await start_node(name, acceptors=ACCEPTORS)
    assert str(caught.value).startswith(text)


@pytest.mark.covers("NAPI-OPT-10")
async def test_a_node_name_of_255_bytes_is_valid() -> None:
    """NAPI-OPT-10: 255 bytes."""
    async with node_starter() as start:
        name = "a" * 253 + "@b"
        assert (await start(name)).name == name
