"""Static routes (NAPI-RT), over sockets of the loopback. How they are written in settings: test_route_resolution.py."""

from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.ergo.saturn import ProxyRoute
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.ergo.enp.proto import ENP
from ergo_conformance.reference_node.ergo.handshake import EHS
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.network import Echo, at, dial, echo, failure, lan, refusal, to
from tests.support.nodes import run_as_process
from tests.support.settings import make_node
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop

NOWHERE = NetworkRoute(host=HOST, port=1)


class Resolving(EsrdRegistrar):
    """A resolver that finds these routes."""

    def __init__(self, *routes: Route) -> None:
        super().__init__(port=0)
        self.routes = list(routes)

    async def resolve(self, name: Atom) -> list[Route]:
        if not self.routes:
            raise RegistrarError(f"{name} is unknown")
        return self.routes


@pytest.mark.covers("NAPI-RT-1")
@pytest.mark.parametrize(
    ("match", "name", "found"),
    [
        ("a", "banana@x", True),
        ("^a", "banana@x", False),
        ("^b.*@x$", "banana@x", True),
        ("@y$", "banana@x", False),
        ("", "anything@all", True),
        ("[ab]@", "a@x", True),
    ],
)
async def test_a_match_is_an_expression_found_anywhere_in_the_name(match: str, name: str, found: bool) -> None:
    """NAPI-RT-1."""
    network: Any = make_node("a@localhost").network
    network.add_route(match, NOWHERE)
    if found:
        assert network.route(name) == [NOWHERE]
    else:
        assert refusal(lambda: network.route(name)) == "no route"


@pytest.mark.covers("NAPI-RT-1")
async def test_what_cannot_be_added_or_removed() -> None:
    """NAPI-RT-1."""
    network: Any = make_node("a@localhost").network
    network.add_route("a", NOWHERE, 1)
    assert refusal(lambda: network.add_route("a", NOWHERE, 2)) == "resource is taken"
    assert refusal(lambda: network.add_route("(", NOWHERE)).startswith("error parsing regexp: ")
    assert refusal(lambda: network.remove_route("b")) == "unknown"
    network.remove_route("a")
    assert refusal(lambda: network.remove_route("a")) == "unknown"
    network.add_route("a", NOWHERE)


@pytest.mark.covers("NAPI-RT-2")
async def test_the_greatest_weight_comes_first() -> None:
    """NAPI-RT-2; equal ones in the order in which they were added."""
    network: Any = make_node("a@localhost").network
    rows = {weight: NetworkRoute(port=100 + weight) for weight in (0, -5, 10, 3)}
    for weight, route in rows.items():
        network.add_route(f"a{'.*' * (weight + 6)}", route, weight)
    network.add_route("a$|a", NOWHERE, 3)
    assert network.route("a") == [rows[10], rows[3], NOWHERE, rows[0], rows[-5]]


@pytest.mark.covers("NAPI-RT-2")
async def test_all_that_match_are_tried() -> None:
    """NAPI-RT-2: the documentation says only the heaviest."""
    async with lan() as start:
        a, b, stranger = await start("a"), await start("b"), await start("c", cookie="other")
        a.network.add_route("b@local", NOWHERE, 10)
        a.network.add_route("b@", to(stranger), 5)
        a.network.add_route("b", to(b), 1)
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-RT-3")
async def test_a_route_has_its_own_cookie_and_flags() -> None:
    """NAPI-RT-3: empty ones are the node's."""
    async with lan() as start:
        a, b = await start("a"), await start("b", cookie="other")
        a.network.add_route("b@", to(b, cookie="other", flags=Flags.ENABLE))
        await a.network.get_node(b.name)
        await eventually(lambda: socket_count(b, a) == 3)
        assert b.network.node(a.name).info.flags == Flags.ENABLE
        c = await start("c", flags=Flags.ENABLE | Flags.REMOTE_SPAWN)
        await dial(a, c, cookie="", flags=Flags(0))
        await eventually(lambda: a.name in c.network.connections)
        assert c.network.node(a.name).info.flags == a.network.options.announced_flags


@pytest.mark.covers("NAPI-RT-4")
@pytest.mark.parametrize("static", [True, False])
async def test_what_is_set_beside_a_resolver_counts(static: bool) -> None:
    """NAPI-RT-4: upstream drops cookie, flags and mapping of a static route with a resolver."""
    async with lan() as start:
        a, b = await start("a"), await start("b", cookie="other")
        _, actor = echo(b)
        found = Resolving(Route("", 1, False, EHS, ENP), Route(HOST, port(b), False, EHS, ENP))
        route = NetworkRoute(
            resolver=found, cookie="other", flags=Flags.ENABLE, atom_mapping={"ours": "theirs"}, port=1, tls=True
        )
        if static:
            a.network.add_route("b@", route)
            await a.network.get_node(b.name)
        else:
            await a.network.get_node_with_route(b.name, route)
        await eventually(lambda: a.name in b.network.connections)
        assert b.network.node(a.name).info.flags == Flags.ENABLE
        await run_as_process(a, lambda it: it.send(at(b), Atom("ours")))
        await eventually(lambda: actor.got == [Atom("theirs")])


@pytest.mark.covers("NAPI-RT-4")
async def test_a_resolver_that_finds_nothing() -> None:
    """NAPI-RT-4: "no route"; the next static route is tried."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        route = NetworkRoute(resolver=Resolving(), host=HOST, port=port(b))
        assert await failure(a.network.get_node_with_route(b.name, route)) == "no route"
        a.network.add_route("b@", route, 10)
        assert await failure(a.network.get_node(b.name)) == "no route"
        a.network.add_route("b", to(b))
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-RT-5")
async def test_proxy_routes_are_kept_and_lead_nowhere() -> None:
    """NAPI-RT-5."""
    async with lan() as start:
        a = await start("a")
        proxy = ProxyRoute(Atom("b@x"), Atom("c@x"))
        a.network.add_proxy_route("b@", proxy, 3)
        assert a.network.proxy_route("b@x") == [proxy]
        assert refusal(lambda: a.network.add_proxy_route("b@", proxy)) == "resource is taken"
        assert refusal(lambda: a.network.add_proxy_route("(", proxy)).startswith("error parsing regexp: ")
        assert refusal(lambda: a.network.proxy_route("d@x")) == "no route"
        assert await failure(a.network.get_node("b@x")) == "no route"
        [row] = a.network.info.proxy_routes
        assert (row.match, row.weight, row.route) == ("b@", 3, proxy)
        assert refusal(lambda: a.network.remove_proxy_route("c@")) == "unknown"
        a.network.remove_proxy_route("b@")
        assert a.network.info.proxy_routes == ()


@pytest.mark.covers("NAPI-RT-6: Static routes: AtomMapping")
async def test_atoms_are_mapped_both_ways_over_a_dialed_link() -> None:
    """NAPI-RT-6: the mapping of a route; on all links of the pool."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        _, actor = echo(b, "their_echo")
        _, asker = echo(a)
        await dial(a, b, atom_mapping={"ours": "theirs", "our_echo": "their_echo"})
        for number in range(3):
            await run_as_process(a, lambda it: it.send(at(b, "our_echo"), Atom("ours")))
            await eventually(lambda number=number: len(actor.got) == number + 1)  # type: ignore[misc]
        await run_as_process(b, lambda it: it.send(at(a), Atom("theirs")))
        await eventually(lambda: asker.got)
        assert (actor.got, asker.got) == ([Atom("theirs")] * 3, [Atom("ours")])


@pytest.mark.covers("Static routes: Route.HandshakeVersion")
async def test_a_route_names_what_is_spoken() -> None:
    """NetworkRoute: handshake and proto by name and release; what the node has not got is "no route"."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        for strange in ({"handshake_version": Version("EHS", "R2")}, {"proto_version": Version("DIST", "R1")}):
            assert await failure(dial(a, b, **strange)) == "no route"
        same = {"handshake_version": EHS._replace(Commit="x"), "proto_version": ENP._replace(License="x")}
        assert (await dial(a, b, **same)).name == b.name


@pytest.mark.covers("Static routes: invalid settings are UsageError at once")
@pytest.mark.parametrize(
    "settings", [{"port": -1}, {"port": 65_536}, {"cookie": "\ud800"}, {"atom_mapping": {"a": "b" * 256}}]
)
def test_a_route_that_cannot_be(settings: Any) -> None:
    """NetworkRoute: UsageError at once, not in the middle of a dial."""
    with pytest.raises(UsageError):
        NetworkRoute(**settings)


@pytest.mark.covers("NAPI-RT-1")
async def test_a_route_removed_while_connected_leaves_the_connection() -> None:
    """NAPI-RT-1: routes are for dialing."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("f", Echo)
        a.network.add_route("b@", to(b))
        remote = await a.network.get_node(b.name)
        a.network.remove_route("b@")
        assert await a.network.get_node(b.name) is remote
        remote.disconnect()
        assert await failure(a.network.get_node(b.name)) == "no route"
