"""Probes of a live target before a run: its answer to the first Hello, serial handshakes, and its agents."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Final

from ..model.ergo import agent_types, enp
from ..peers.ergo.connection import Peer
from ..peers.ergo.dialer import Dialer
from ..peers.violation import ViolationError
from .base import RunningTarget

SERIAL_DELAY: Final = 0.5
"""Seconds by which a silent client delays the next one at a serial acceptor; the acceptor's own deadline is 1 s."""
HELLO_TIMEOUT: Final = 3.0
"""Seconds to wait for the answer to the first Hello."""
AGENTS_TIMEOUT: Final = 1.0
"""Seconds to wait for the answers of agents."""
REQUESTS: Final[Mapping[str, object]] = {"pub": "event", "crasher": "pid", "agent": "pid"}
"""Request that each agent of level 2 answers at once, by agent name."""


async def probe(running: RunningTarget) -> None:
    """Sends a Hello beside a silent client; sets `serial`, `answered`, `silent` and `closed` of `running`.

    Raises UnreachableError.
    """
    loop = asyncio.get_running_loop()
    silent = await running.socket("silent")
    started = loop.time()
    good = await running.socket("good")
    dialer = Dialer(good, running.target_info, random.Random("probe"))
    try:
        dialer.send(dialer.hello())
        await dialer.receive(within=HELLO_TIMEOUT)
        running.serial = loop.time() - started > SERIAL_DELAY
    except ViolationError:
        running.answered = False
        nothing = not good.transcript.bytes_of("received")
        running.silent, running.closed = nothing and not good.eof, nothing and good.eof
    finally:
        silent.close()
        good.close()


async def probe_agents(running: RunningTarget) -> None:
    """Calls echo, with a text and a registered type, and the agents of level 2; adds the results to `running`."""
    socket = await running.socket("agents")
    try:
        dialer = Dialer(socket, running.target_info, random.Random("agents"))
        await dialer.handshake()
        assert dialer.target_introduce is not None
        peer = Peer([dialer], dialer.target_introduce)
        if running.agents_unknown:
            await _probe_echo(peer, running)
        if "agents" in running.offers and not running.pids:
            running.agents = await _answering(peer)
    except ViolationError:
        pass  # an agent that does not answer counts as absent
    finally:
        socket.close()


async def _probe_echo(peer: Peer, running: RunningTarget) -> None:
    running.types = False
    if await peer.call("echo", "anybody there?", within=AGENTS_TIMEOUT) == "anybody there?":
        running.offers |= {"agents"}
    small = agent_types.Small(1, "one")
    with contextlib.suppress(ViolationError):
        running.types = await peer.call("echo", small, within=AGENTS_TIMEOUT) == small


async def _answering(peer: Peer) -> frozenset[str]:
    """Calls all agents of level 2 at once; returns the names of those that answer."""
    pending = {peer.ask(name, REQUESTS[name]): name for name in agent_types.ACTING}
    found: set[str] = set()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AGENTS_TIMEOUT
    while len(found) < len(pending) and (received := await peer.receive(deadline - loop.time())):
        if isinstance(received.value, enp.Response) and received.value.ref in pending:
            found.add(pending[received.value.ref])
    return frozenset(found)
