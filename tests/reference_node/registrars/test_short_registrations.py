"""Clients of registrars that grant each registration and then close: the first retry is immediate, then the pauses grow."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import esrd, saturn
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import NodeRegistration
from ergo_conformance.reference_node.connection.backoff import MIN_LIFETIME, Pauses
from ergo_conformance.reference_node.registrars import esrd_client
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar

NODE = NodeRegistration(Atom("a@localhost"), lambda n: "0" * n, hidden=False)
PAUSES = [0, 1, 2, 3, 4, 5, 5, 5]
"""Seconds between the registrations that end at once; the last pause is repeated."""


class Registrations:
    """The times of registrations. `lifetimes`: how long each lasts, in seconds; those after them end at once."""

    def __init__(self, *lifetimes: float) -> None:
        self.times: list[float] = []
        self.lifetimes = list(lifetimes)

    def grant(self) -> asyncio.StreamReader:
        """Grants a registration; returns its stream, which ends after the lifetime."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        self.times.append(loop.time())
        lifetime = self.lifetimes.pop(0) if self.lifetimes else 0.0
        loop.call_later(lifetime, reader.feed_eof)
        return reader

    def gaps(self) -> list[int]:
        """Returns the seconds between the registrations."""
        return [round(later - earlier) for earlier, later in zip(self.times, self.times[1:], strict=False)]


class NoWriter:
    """A stream writer of no socket."""

    def close(self) -> None:
        """Closes nothing."""

    async def wait_closed(self) -> None:
        """Returns at once."""


def esrd_client_of(seen: Registrations, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def register(host: str, port: int, request: bytes) -> Any:
        del host, port, request
        return seen.grant(), NoWriter()

    monkeypatch.setattr(esrd_client, "register", register)
    return EsrdRegistrar(serve=False)


def saturn_client_of(seen: Registrations, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def connect(self: SaturnRegistrar) -> Any:
        del self
        return seen.grant(), None

    monkeypatch.setattr(SaturnRegistrar, "_connect", connect)
    return SaturnRegistrar(SaturnOptions(token="secret", skip_verify=True))


clients = pytest.mark.parametrize("make_client", [esrd_client_of, saturn_client_of], ids=["esrd", "saturn"])


@clients
async def test_pauses_grow_while_each_registration_ends_at_once(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Registrations()
    client = make_client(seen, monkeypatch)
    await client.register(NODE, [])
    await asyncio.sleep(sum(PAUSES) + 0.5)
    await client.terminate()
    assert seen.gaps() == PAUSES


@clients
async def test_a_registration_that_lasted_is_repeated_at_once(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Registrations(0, 0, 0, 100)
    client = make_client(seen, monkeypatch)
    await client.register(NODE, [])
    await asyncio.sleep(103.5 + 1.5)
    await client.terminate()
    assert seen.gaps() == [0, 1, 2, 100, 1]


def test_the_pauses_of_both_clients_begin_with_none_and_are_those_of_the_protocols() -> None:
    assert list(saturn.REDIAL) == PAUSES[:6]
    assert [n * esrd.RETRY for n in range(esrd_client.LONGEST_PAUSE + 1)] == PAUSES[:6]


def test_only_a_registration_that_lasted_begins_the_pauses_anew() -> None:
    pauses = Pauses((0.0, 1.0, 2.0))
    assert [pauses.next() for _ in range(4)] == [0.0, 1.0, 2.0, 2.0]
    pauses.registration_ended(MIN_LIFETIME / 2)
    assert pauses.next() == 2.0
    pauses.registration_ended(MIN_LIFETIME)
    assert pauses.next() == 0.0
