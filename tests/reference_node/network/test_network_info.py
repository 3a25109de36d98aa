"""NetworkInfo (node-api §7): every field of gen.NetworkInfo, over sockets on the loopback."""

import secrets

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.saturn import ProxyRoute
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.info import AcceptorInfo, EnabledInfo
from ergo_conformance.reference_node.api.registrar import RegistrarInfo
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.tls import self_signed
from ergo_conformance.reference_node.ergo.enp.proto import ENP
from ergo_conformance.reference_node.ergo.handshake import EHS
from ergo_conformance.reference_node.network.acceptor import NodeAcceptor
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkMode, NetworkOptions
from ergo_conformance.reference_node.registrars.esrd_client import ESRD, EsrdRegistrar
from ergo_conformance.reference_node.registrars.saturn_client import SATURN, SaturnOptions, SaturnRegistrar
from ergo_conformance.reference_node.registrars.saturn_server import SaturnServer
from tests.support.loopback_nodes import Echo, dial, node_starter
from tests.support.settings import make_node
from tests.support.sockets import HOST, eventually, port

pytestmark = pytest.mark.real_loop


@pytest.mark.covers(
    "The network: Info",
    "Information: Acceptors",
    "Information: MaxMessageSize",
    "Information: Nodes",
    "Information: Routes",
    "Information: EnabledSpawn",
)
async def test_info_has_all_fields_of_the_network() -> None:
    """NetworkInfo: Mode, Registrar, Acceptors, MaxMessageSize, versions, Nodes, routes, Flags, permissions."""
    async with node_starter() as start:
        own = EsrdRegistrar(port=0)
        acceptors = (
            AcceptorOptions(host=HOST, port=0),
            AcceptorOptions(
                host=HOST, port=0, tls=self_signed([HOST]), max_message_size=77, flags=Flags.ENABLE, registrar=own
            ),
        )
        common = EsrdRegistrar(port=0)
        b = await start("b", registrar=common, acceptors=acceptors, max_message_size=5000)
        a = await start("a")
        await dial(a, b)
        await eventually(lambda: b.network.connections)
        network = b.network
        route, proxy = NetworkRoute(port=1), ProxyRoute(Atom("x@y"), Atom("z@y"))
        network.add_route("^c@", route, 7)
        network.add_proxy_route("^d@", proxy, 8)
        network.enable_spawn("open", Echo)
        network.enable_spawn("some", Echo, "a@localhost", "c@localhost")
        network.enable_application_start("app", "c@localhost")
        network.disable_application_start("app", "c@localhost")

        info = network.info
        server = f"localhost:{common.port}"
        assert info.mode == "enabled"
        assert info.registrar == RegistrarInfo(server=server, embedded=True, version=ESRD)
        assert info.acceptors == (
            AcceptorInfo(
                interface=f"{HOST}:{port(b)}", max_message_size=5000, flags=ehs.DEFAULT_FLAGS, tls=False,
                registrar=None, handshake_version=EHS, proto_version=ENP,
            ),
            AcceptorInfo(
                interface=f"{HOST}:{network.acceptors[1].port}", max_message_size=77, flags=Flags.ENABLE, tls=True,
                registrar=RegistrarInfo(server=f"localhost:{own.port}", embedded=True, version=ESRD),
                handshake_version=EHS, proto_version=ENP,
            ),
        )  # fmt: skip
        assert (info.max_message_size, info.handshake_version, info.proto_version) == (5000, EHS, ENP)
        assert (info.nodes, info.flags) == ((a.name,), ehs.DEFAULT_FLAGS)
        assert [(row.match, row.weight, row.route) for row in info.routes] == [("^c@", 7, route)]
        assert [(row.match, row.weight, row.route) for row in info.proxy_routes] == [("^d@", 8, proxy)]
        assert info.enabled_spawn == (
            EnabledInfo(name=Atom("open"), nodes=(), closed=False, behavior="Echo"),
            EnabledInfo(
                name=Atom("some"), nodes=(Atom("a@localhost"), Atom("c@localhost")), closed=False, behavior="Echo"
            ),
        )
        assert info.enabled_application_start == (EnabledInfo(name=Atom("app"), nodes=(), closed=True),)


@pytest.mark.covers("Information: Registrar")
async def test_the_info_of_a_registrar_client_is_not_embedded() -> None:
    """RegistrarInfo: EmbeddedServer; ESRD has no optional feature."""
    async with node_starter() as start:
        first = EsrdRegistrar(port=0)
        await start("b", registrar=first)
        a = await start("a", registrar=EsrdRegistrar(port=first.port))
        info = a.network.info.registrar
        assert info is not None
        assert (info.server, info.embedded, info.version) == (f"localhost:{first.port}", False, ESRD)
        assert not any((info.register_proxy, info.register_application, info.config, info.event))


@pytest.mark.covers("Information: Mode")
async def test_the_info_of_a_hidden_node_has_no_acceptors_and_no_server() -> None:
    """§7, hidden."""
    async with node_starter() as start:
        a = await start("a", mode=NetworkMode.HIDDEN, registrar=EsrdRegistrar(port=0))
        info = a.network.info
        assert (info.mode, info.acceptors) == ("hidden", ())
        assert info.registrar == RegistrarInfo(server="", embedded=False, version=ESRD)
        without = await start("b")
        assert without.network.info.registrar is None


@pytest.mark.covers("Information: Registrar")
async def test_the_info_of_saturn_has_its_features() -> None:
    """§7: applications, configuration, events. Upstream also claims proxies, which it does not support."""
    token = secrets.token_hex(8)
    server = SaturnServer(token, host=HOST, port=0)
    await server.start()
    try:
        async with node_starter() as start:
            options = SaturnOptions(token=token, host=HOST, port=server.port, skip_verify=True)
            b = await start("b", registrar=SaturnRegistrar(options))
            info = b.network.info.registrar
            assert info is not None
            assert (info.server, info.embedded, info.version) == (f"{HOST}:{server.port}", False, SATURN)
            assert (info.register_proxy, info.register_application, info.config, info.event) == (
                False,
                True,
                True,
                True,
            )
    finally:
        await server.stop()


@pytest.mark.covers("Information: Acceptors")
async def test_an_ipv6_interface_is_in_brackets() -> None:
    """AcceptorInfo.Interface of an IPv6 host."""
    network = make_node("a@localhost").network
    acceptor = NodeAcceptor.of(AcceptorOptions(host="::1", port=25_000), NetworkOptions(), "localhost", None)
    assert acceptor.info(acceptor.stack(network._stacks)).interface == "[::1]:25000"
