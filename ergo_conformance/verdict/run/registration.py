"""Context of a case that starts the target itself, with a registrar of the tester.

The registrar listens before the target starts; each case has its own registrar and port.
"""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from ...model.ergo.ehs import HandshakeState
from ...model.ergo.esrd import RegisterRoutes
from ...model.ergo.saturn import Register
from ...model.values import Atom
from ...peers.ergo.acceptor import Acceptor
from ...peers.ergo.agents import AgentDriver
from ...peers.ergo.dial import Dial
from ...peers.ergo.esrd_client import route
from ...peers.ergo.esrd_server import EsrdRegistration, ScriptedEsrdServer
from ...peers.ergo.saturn_server import SaturnRegistration, ScriptedSaturnServer
from ...peers.listener import HOST, Listener
from ...peers.transcript import Transcript
from ...peers.violation import ViolationError
from ...reference_node.connection.tls import KeyPair, fingerprint_sha1, self_signed, server_context
from ...targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from .context import AT_ONCE, TRIES, Context, SkippedError

T = TypeVar("T")
START_TIMEOUT: Final = 25.0
"""Seconds in which a target must open a socket to our registrar, or print READY; shorter than the limit of a case (30 s)."""
LATE_ARRIVAL: Final = 0.5
"""Seconds to wait for a socket that the target opened before its start ended."""
Registrar = ScriptedEsrdServer | ScriptedSaturnServer


@cache
def certificate() -> KeyPair:
    """Self-signed certificate of our Saturn and our TLS listeners."""
    return self_signed(["localhost", HOST])


class RegistrationContext(Context):
    """Context of one case that starts `kind`. `first`: the running target with its default configuration."""

    def __init__(self, kind: Target, first: RunningTarget, rng: random.Random, config: Mapping[str, Any]) -> None:
        super().__init__(first, rng)
        self._kind, self._first, self._wanted = kind, first, dict(config)
        self.token = f"token-{rng.randrange(16**12):012x}"
        self._registrar: Registrar | None = None
        self._listeners: list[Listener] = []
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._starting: asyncio.Task[RunningTarget] | None = None
        self._started: RunningTarget | None = None
        self._agent: AgentDriver | None = None

    # --- our side -----------------------------------------------------------------------------------------------------

    @property
    def esrd(self) -> ScriptedEsrdServer:
        """Our registrar in an ESRD case."""
        assert isinstance(self._registrar, ScriptedEsrdServer)
        return self._registrar

    @property
    def saturn(self) -> ScriptedSaturnServer:
        """Our registrar in a Saturn case."""
        assert isinstance(self._registrar, ScriptedSaturnServer)
        return self._registrar

    async def listener(self, *, tls: bool = False) -> Listener:
        """A listening port, which our registrar may return as a route."""
        pair = certificate()
        context, fingerprint = (server_context(pair), fingerprint_sha1(pair.certificate)) if tls else (None, None)
        found = Listener("dialed", context, fingerprint=fingerprint)
        await found.start()
        self._listeners.append(found)
        return found

    def unknown_node(self) -> Atom:
        """A node name on this host that no registrar knows."""
        return Atom(f"wanted-{self.rng.randrange(16**8):08x}@{HOST}")

    def certificate_file(self) -> Path:
        """PEM file with our certificate, for the setting `ca` of a target."""
        self._files = self._files or tempfile.TemporaryDirectory(prefix="ergo-conformance-")
        path = Path(self._files.name, "cert.pem")
        path.write_bytes(certificate().certificate)
        return path

    # --- the target's start -------------------------------------------------------------------------------------------

    async def start(self, **more: Any) -> None:
        """Opens the registrar and begins to start the target with it. `more`: further keys of the setting `registrar`."""
        row = {**self._wanted["registrar"], **more}
        if row["kind"] == "saturn":
            self._registrar = await ScriptedSaturnServer(server_context(certificate()), self.token).start()
            row = {"host": HOST, "token": self.token, "cluster": self.cluster, **row}
        else:
            self._registrar = await ScriptedEsrdServer().start()
            row = {"host": "localhost", "serve": False, **row}  # the embedded registrar is always there (ESRD-CL-1)
        row["port"] = self._registrar.port
        self._starting = asyncio.create_task(self._kind.start({**self._wanted, "registrar": row}))

    async def esrd_registration(self, **more: Any) -> EsrdRegistration:
        """Starts the target. Returns its first registration socket at our ESRD; `more` as for `start`."""
        await self.start(**more)
        return await self._while_starting(self.esrd.registration(START_TIMEOUT))

    async def saturn_registration(self, **more: Any) -> SaturnRegistration:
        """Starts the target. Returns its first socket at our Saturn; `more` as for `start`."""
        await self.start(**more)
        return await self._while_starting(self.saturn.registration(START_TIMEOUT))

    async def _while_starting(self, coming: Awaitable[T]) -> T:
        """Awaits `coming` while the target starts. SkippedError if the target does not support the configuration."""
        assert self._starting is not None
        waiting = asyncio.ensure_future(coming)
        try:
            await asyncio.wait({waiting, self._starting}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({waiting}, timeout=LATE_ARRIVAL if self._starting.done() else 0)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        raise ViolationError(await self._outcome(), ("a target that registers when it starts",))

    async def _outcome(self) -> str:
        """Awaits the end of the start and describes it. SkippedError if the target does not support the configuration."""
        assert self._starting is not None
        try:
            self._started = await asyncio.wait_for(asyncio.shield(self._starting), START_TIMEOUT)
        except ConfigNotSupportedError as error:
            raise SkippedError(str(error)) from None
        except TargetError as error:
            return f"it does not start: {error}"
        except TimeoutError:
            return f"it has neither started nor ended within {START_TIMEOUT:g} s"
        return "it has started"

    async def started(self) -> RunningTarget:
        """Waits for READY; the started target is `target` from then on. ViolationError if it does not start."""
        outcome = await self._outcome()
        if self._started is None:
            raise ViolationError(outcome, ("a target that starts once it is registered",))
        self.target = self._started
        self.target.serial, self.target.silent = self._first.serial, self._first.silent
        self.target.agents = self.target.agents or self._first.agents
        return self.target

    async def not_started(self) -> None:
        """Checks that the target ends without READY (ESRD-CL-2, SAT-RG-8)."""
        outcome = await self._outcome()
        if not outcome.startswith("it does not start"):
            raise ViolationError(outcome, ("a target that does not start: it is not registered",))

    async def registered_at_esrd(self) -> tuple[EsrdRegistration, RegisterRoutes]:
        """Starts the target and grants its registration at our ESRD. Returns the registration and the request."""
        registration = await self.esrd_registration()
        request = await registration.request()
        registration.grant()
        await self.started()
        return registration, request

    async def registered_at_saturn(self, **overrides: Any) -> tuple[SaturnRegistration, Register]:
        """Starts the target and grants its registration at our Saturn; `overrides` replace fields of the result."""
        member = await self.saturn_registration()
        request = await member.request()
        member.grant(**overrides)
        await self.started()
        return member, request

    async def dialed(self, name: str = "", *, tls: bool = False) -> Dial:
        """Tells the target to connect to us under this name, by default an unknown one; the first call starts the target."""
        if self._agent is None:
            await self.registered_at_esrd()
            self._agent = AgentDriver(await self.peer())
        agent, wanted, listener = self._agent, Atom(name) or self.unknown_node(), await self.listener(tls=tls)
        ref = agent.start("connect", wanted)
        question = await self.esrd.resolve_request()
        agent.peer.check(question.name == wanted, question.name, f"a request for {wanted}")
        question.answer([route(listener.port, TLS=tls)])
        return Dial(wanted, listener, agent, ref, self.target_info, self.rng)

    async def expect_dial_refused(
        self,
        send: Callable[[Acceptor], object],
        state: HandshakeState = HandshakeState.HELLO_SENT,
        *,
        tls: bool = False,
        bytes_allowed: bool = False,
    ) -> None:
        """The dialing target closes the socket at once after `send` in this state, and the dial fails."""
        for left in reversed(range(TRIES)):
            dial = await self.dialed(tls=tls)
            acceptor = await dial.acceptor(state)
            send(acceptor)
            took = await acceptor.expect_close(bytes_allowed=bytes_allowed)
            await dial.failed()
            if acceptor.is_in_time(took, AT_ONCE, left):
                return

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def transcripts(self) -> list[Transcript]:
        of_listeners = [socket.transcript for listener in self._listeners for socket in listener.sockets]
        resolving = getattr(self._registrar, "resolving", None)
        return [
            *(socket.transcript for socket in getattr(self._registrar, "sockets", ())),
            *([resolving.transcript] if resolving is not None and resolving.transcript.entries else ()),
            *of_listeners,
            *super().transcripts,
        ]

    async def end(self) -> None:
        await super().end()
        if self._starting is not None:
            self._starting.cancel()
            (ended,) = await asyncio.gather(self._starting, return_exceptions=True)
            if isinstance(ended, RunningTarget):
                await ended.stop()
        for listener in self._listeners:
            await listener.stop()
        if self._registrar is not None:
            await self._registrar.stop()
        if self._files is not None:
            self._files.cleanup()
