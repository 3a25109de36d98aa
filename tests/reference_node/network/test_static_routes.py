"""Static routes (NAPI-RT), over sockets on the loopback. Their text in settings: test_route_resolution.py."""

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
from tests.support.consumers import error_text
from tests.support.loopback_nodes import (
    Echo,
    dial,
    node_starter,
    process_id,
    raised_error_text,
    route_to,
    spawn_echo,
)
from tests.support.nodes import run_as_process
from tests.support.settings import make_node
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop

NOWHERE = NetworkRoute(host=HOST, port=1)


class ScriptedResolver(EsrdRegistrar):
    """Resolver that returns these routes."""

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
async def test_a_match_is_a_regular_expression_searched_in_the_name(match: str, name: str, found: bool) -> None:
    """NAPI-RT-1."""
    network: Any = make_node("a@localhost").network
    network.add_route(match, NOWHERE)
    if found:
        assert network.route(name) == [NOWHERE]
    else:
        assert raised_error_text(lambda: network.route(name)) == "no route"


@pytest.mark.covers("NAPI-RT-1")
async def test_invalid_additions_and_removals_of_routes_raise() -> None:
    """NAPI-RT-1."""
    network: Any = make_node("a@localhost").network
    network.add_route("a", NOWHERE, 1)
    assert raised_error_text(lambda: network.add_route("a", NOWHERE, 2)) == "resource is taken"
    assert raised_error_text(lambda: network.add_route("(", NOWHERE)).startswith("error parsing regexp: ")
    assert raised_error_text(lambda: network.remove_route("b")) == "unknown"
    network.remove_route("a")
    assert raised_error_text(lambda: network.remove_route("a")) == "unknown"
    network.add_route("a", NOWHERE)


@pytest.mark.covers("NAPI-RT-2")
async def test_routes_are_sorted_by_weight() -> None:
    """NAPI-RT-2; routes of equal weight in the order of addition."""
    network: Any = make_node("a@localhost").network
    rows = {weight: NetworkRoute(port=100 + weight) for weight in (0, -5, 10, 3)}
    for weight, route in rows.items():
        network.add_route(f"a{'.*' * (weight + 6)}", route, weight)
    network.add_route("a$|a", NOWHERE, 3)
    assert network.route("a") == [rows[10], rows[3], NOWHERE, rows[0], rows[-5]]


@pytest.mark.covers("NAPI-RT-2")
async def test_all_matching_routes_are_tried() -> None:
    """NAPI-RT-2: by the documentation, only the one with the greatest weight."""
    async with node_starter() as start:
        a, b, stranger = await start("a"), await start("b"), await start("c", cookie="other")
        a.network.add_route("b@local", NOWHERE, 10)
        a.network.add_route("b@", route_to(stranger), 5)
        a.network.add_route("b", route_to(b), 1)
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-RT-3")
async def test_a_route_has_its_own_cookie_and_flags() -> None:
    """NAPI-RT-3: empty values stand for the node's."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", cookie="other")
        a.network.add_route("b@", route_to(b, cookie="other", flags=Flags.ENABLE))
        await a.network.get_node(b.name)
        await eventually(lambda: socket_count(b, a) == 3)
        assert b.network.node(a.name).info.flags == Flags.ENABLE
        c = await start("c", flags=Flags.ENABLE | Flags.REMOTE_SPAWN)
        await dial(a, c, cookie="", flags=Flags(0))
        await eventually(lambda: a.name in c.network.connections)
        assert c.network.node(a.name).info.flags == a.network.options.announced_flags


@pytest.mark.covers("NAPI-RT-4")
@pytest.mark.parametrize("static", [True, False])
async def test_the_other_fields_of_a_route_with_a_resolver_apply(static: bool) -> None:
    """NAPI-RT-4: upstream drops cookie, flags and mapping of a static route with a resolver."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", cookie="other")
        _, actor = spawn_echo(b)
        found = ScriptedResolver(Route("", 1, False, EHS, ENP), Route(HOST, port(b), False, EHS, ENP))
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
        await run_as_process(a, lambda it: it.send(process_id(b), Atom("ours")))
        await eventually(lambda: actor.received == [Atom("theirs")])


@pytest.mark.covers("NAPI-RT-4")
async def test_a_resolver_without_a_result_is_no_route() -> None:
    """NAPI-RT-4: "no route"; the next static route is tried."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        route = NetworkRoute(resolver=ScriptedResolver(), host=HOST, port=port(b))
        assert await error_text(a.network.get_node_with_route(b.name, route)) == "no route"
        a.network.add_route("b@", route, 10)
        assert await error_text(a.network.get_node(b.name)) == "no route"
        a.network.add_route("b", route_to(b))
        assert (await a.network.get_node(b.name)).name == b.name


@pytest.mark.covers("NAPI-RT-5")
async def test_proxy_routes_are_listed_but_not_dialed() -> None:
    """NAPI-RT-5."""
    async with node_starter() as start:
        a = await start("a")
        proxy = ProxyRoute(Atom("b@x"), Atom("c@x"))
        a.network.add_proxy_route("b@", proxy, 3)
        assert a.network.proxy_route("b@x") == [proxy]
        assert raised_error_text(lambda: a.network.add_proxy_route("b@", proxy)) == "resource is taken"
        assert raised_error_text(lambda: a.network.add_proxy_route("(", proxy)).startswith("error parsing regexp: ")
        assert raised_error_text(lambda: a.network.proxy_route("d@x")) == "no route"
        assert await error_text(a.network.get_node("b@x")) == "no route"
        [row] = a.network.info.proxy_routes
        assert (row.match, row.weight, row.route) == ("b@", 3, proxy)
        assert raised_error_text(lambda: a.network.remove_proxy_route("c@")) == "unknown"
        a.network.remove_proxy_route("b@")
        assert a.network.info.proxy_routes == ()


@pytest.mark.covers("NAPI-RT-6: Static routes: AtomMapping")
async def test_a_route_maps_atoms_in_both_directions() -> None:
    """NAPI-RT-6: the mapping of a route, on all sockets of the pool."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        _, actor = spawn_echo(b, "their_echo")
        _, recorder = spawn_echo(a)
        await dial(a, b, atom_mapping={"ours": "theirs", "our_echo": "their_echo"})
        for number in range(3):
            await run_as_process(a, lambda it: it.send(process_id(b, "our_echo"), Atom("ours")))
            await eventually(lambda number=number: len(actor.received) == number + 1)  # type: ignore[misc]
        await run_as_process(b, lambda it: it.send(process_id(a), Atom("theirs")))
        await eventually(lambda: recorder.received)
        assert (actor.received, recorder.received) == ([Atom("theirs")] * 3, [Atom("ours")])


@pytest.mark.covers("Static routes: Route.HandshakeVersion")
async def test_a_route_selects_handshake_and_proto_by_version() -> None:
    """NetworkRoute: handshake and proto by name and release; an unknown one is "no route"."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        for versions in ({"handshake_version": Version("EHS", "R2")}, {"proto_version": Version("DIST", "R1")}):
            assert await error_text(dial(a, b, **versions)) == "no route"
        same = {"handshake_version": EHS._replace(Commit="x"), "proto_version": ENP._replace(License="x")}
        assert (await dial(a, b, **same)).name == b.name


@pytest.mark.covers("Static routes: invalid settings are UsageError at once")
@pytest.mark.parametrize(
    "settings", [{"port": -1}, {"port": 65_536}, {"cookie": "\ud800"}, {"atom_mapping": {"a": "b" * 256}}]
)
def test_an_invalid_route_is_a_usage_error(settings: Any) -> None:
    """NetworkRoute: UsageError at creation, not during a dial."""
    with pytest.raises(UsageError):
        NetworkRoute(**settings)


@pytest.mark.covers("NAPI-RT-1")
async def test_removing_a_route_keeps_the_connection() -> None:
    """NAPI-RT-1: routes are used only for dialing."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("f", Echo)
        a.network.add_route("b@", route_to(b))
        remote = await a.network.get_node(b.name)
        a.network.remove_route("b@")
        assert await a.network.get_node(b.name) is remote
        remote.disconnect()
        assert await error_text(a.network.get_node(b.name)) == "no route"
