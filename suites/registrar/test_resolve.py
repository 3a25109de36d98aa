"""Resolving over UDP."""

import pytest

from ergo_conformance.model.ergo.esrd import MAX_RESOLVE, ResolveRoutes
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import Context, ScriptedResolver, UnreachableError, ViolationError, case, route

REGISTRAR = ("registrar",)


@pytest.mark.parametrize("name", ["nobody@localhost", "", "no-at", "nobody@elsewhere.example", "n" * 255])
@case("ESRD-RES-1", "ESRD-TR-4", offers=REGISTRAR)
async def test_unknown(ergo_context: Context, name: str) -> None:
    """A registrar answers an unknown name with nil routes and the text "unknown"."""
    reply = await (await ergo_context.resolver()).resolve(name)
    if reply.Routes is not None or reply.Error is None or reply.Error.text != "unknown":
        raise ViolationError(
            show(reply), ('nil routes and the error "unknown"',), f"a resolve request for {show(name)}"
        )


@case("ESRD-RES-1", "ESRD-TR-4", "ESRD-PL-4", offers=REGISTRAR)
async def test_known(ergo_context: Context) -> None:
    """A registrar answers each request for a registered name with its routes and no error."""
    client = await ergo_context.esrd_client()
    await client.register(Routes=[route(4711)])
    resolver = await ergo_context.resolver()
    for _ in range(3):
        reply = await resolver.resolve(client.name)
        client.check(reply.Error is None and reply.Routes == [route(4711)], reply, "its route and no error")


@case("ESRD-RES-1", "ESRD-RES-4", offers=("registrar", "accept"))
async def test_the_server_itself(ergo_context: Context) -> None:
    """A node that serves resolves its own name."""
    name = await ergo_context.target_name()
    reply = await (await ergo_context.resolver()).resolve(name)
    if reply.Error is not None or not reply.Routes:
        raise ViolationError(show(reply), ("its routes and no error",), f"a resolve request for {name}")


@case("ESRD-RES-1", "ROB-ESRD-4", offers=REGISTRAR)
async def test_many_at_once(ergo_context: Context) -> None:
    """A registrar answers a hundred requests from ten sockets, each at the socket it came from."""
    client = await ergo_context.esrd_client()
    await client.register()
    resolvers = [await ergo_context.resolver() for _ in range(10)]
    for i, resolver in enumerate(resolvers):
        wanted = client.name if i % 2 else Atom("nobody@localhost")
        for _ in range(10):
            resolver.send(write_packet(ResolveRoutes(wanted)), f"ten valid requests for {wanted}")
    for i, resolver in enumerate(resolvers):
        for _ in range(10):
            reply = await resolver.reply()
            client.check((reply.Error is None) == bool(i % 2), reply, "the answer to the request of this socket")


@pytest.mark.parametrize("size", [1, 100, 3000], ids=lambda n: f"{n}_bytes")
@case("ESRD-RES-3", offers=REGISTRAR)
async def test_bytes_behind_the_request(ergo_context: Context, size: int) -> None:
    """Upstream answers a valid request that is followed by further bytes."""
    resolver = await ergo_context.resolver()
    data = write_packet(ResolveRoutes(Atom("nobody@localhost")))
    resolver.send(data + bytes(size), f"a valid request followed by {size} bytes")
    await resolver.reply(1.0)


@pytest.mark.parametrize("size", [4, 60], ids=["header", "without_the_name"])
@case("ESRD-BUG-1", offers=REGISTRAR)
async def test_stale_buffer(ergo_context: Context, size: int) -> None:
    """Upstream answers a truncated request with the routes of the previously requested name."""
    resolver = await ergo_context.resolver()
    data = write_packet(ResolveRoutes(Atom("nobody@localhost")))
    await resolver.resolve("nobody@localhost")
    resolver.send(data[:2] + max(0, size - 4).to_bytes(2, "big") + data[4:size], f"the first {size} bytes of a request")
    await resolver.reply(0.5)


@pytest.mark.parametrize(
    "data", [b"", b"\x01", bytes(65_000), b"\xff" * MAX_RESOLVE], ids=["none", "1", "65000", "1024"]
)
@case("ESRD-RES-2", "ROB-ESRD-1", "ROB-ESRD-2", offers=REGISTRAR)
async def test_junk(ergo_context: Context, data: bytes) -> None:
    """A registrar does not answer a datagram that is not a packet, of any length, and answers the next request."""
    resolver = await ergo_context.resolver()
    resolver.send(data, f"{len(data)} bytes that are not a packet")
    await resolver.expect_silence(0.3)
    await resolver.resolve("nobody@localhost")


async def other_address(ergo_context: Context) -> ScriptedResolver:
    """Returns a socket to a secondary address of the target's machine; skips the case if there is none."""
    try:
        return await ergo_context.resolver("127.0.0.2")
    except UnreachableError as error:
        ergo_context.skip(f"needs a target that is reached over loopback: {error}")
        raise


@case("ESRD-TR-5", offers=REGISTRAR)
async def test_from_the_address_that_was_asked(ergo_context: Context) -> None:
    """A registrar answers a request to a secondary address of its machine from that address."""
    resolver = await other_address(ergo_context)
    await resolver.resolve("nobody@localhost")


@case("ESRD-TR-6", "ESRD-BUG-4", offers=REGISTRAR)
async def test_from_the_primary_address(ergo_context: Context) -> None:
    """Upstream answers a request to a secondary address from the primary address, so the reply is lost."""
    resolver, primary = await other_address(ergo_context), await ergo_context.resolver()
    resolver.send(write_packet(ResolveRoutes(Atom("nobody@localhost"))), "a valid request to 127.0.0.2")
    await primary.resolve("nobody@localhost")  # a server answers in order, so the first reply was sent by then
    await resolver.expect_silence(0.3)
