"""A node that we start: a command that reads ERGO_TARGET and prints a READY line."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import tempfile
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..peers.ergo.handshake import TargetInfo
from ..reference_node.connection.tls import self_signed
from .base import NotGivenError, Running, Target, TargetError, base_config
from .tcp import TcpRunning, client_context, reach

START_TIMEOUT: Final = 30.0  # seconds until READY
STOP_TIMEOUT: Final = 5.0  # seconds after SIGTERM
READY: Final = b"READY "
DRAIN_TIMEOUT: Final = 1.0  # seconds for its last words
MAX_PORT: Final = 65_535
HIDDEN: Final = "hidden"  # a value of `mode`
MAX_LINE: Final = 1 << 20
TAIL: Final = 8  # lines of stderr that an error shows


class ProcessRunning(TcpRunning):
    """A started process and its address."""

    ours = True
    process: asyncio.subprocess.Process
    drains: list[asyncio.Task[None]]

    async def stop(self) -> None:
        await to_its_end(end(self.process, self.drains))


async def end(process: asyncio.subprocess.Process, drains: Sequence[asyncio.Task[None]]) -> None:
    """SIGTERM, and SIGKILL for what does not end; then its pipes."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    if drains:
        _, unfinished = await asyncio.wait(drains, timeout=DRAIN_TIMEOUT)
        for task in unfinished:
            task.cancel()
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  its children may hold the pipes open


async def _unwanted(launching: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    """Ends what has begun to start."""
    with contextlib.suppress(OSError):
        await end(await launching, [])


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Does what has to be done, also for somebody who is cancelled, once or again, meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


class ProcessTarget(Target):
    """`process:CMD` or `-- CMD…`."""

    kind = "process"

    def __init__(
        self,
        command: list[str],
        *,
        cookie: str | None = None,
        node: str | None = None,
        tls: bool = False,
        offers: frozenset[str] | None = None,
    ) -> None:
        super().__init__("process:" + shlex.join(command))
        if not command:
            raise UsageError("process: a command is needed")
        self.command = command
        self.offers = offers
        self.base = base_config(cookie, node, tls=tls)
        self._files: tempfile.TemporaryDirectory[str] | None = None

    def _certificate(self) -> dict[str, str]:
        if self._files is None:
            self._files = tempfile.TemporaryDirectory(prefix="ergo-conformance-")
            cert, key = self_signed(["localhost", "127.0.0.1"])
            (Path(self._files.name) / "cert.pem").write_bytes(cert)
            (Path(self._files.name) / "key.pem").write_bytes(key)
        return {name: str(Path(self._files.name) / f"{name}.pem") for name in ("cert", "key")}

    async def start(self, config: Mapping[str, Any]) -> Running:
        wanted = {**self.base, **config}
        wanted["tls"] = self._certificate() if wanted.get("tls") else None
        process = await self._launch(wanted)
        errors: deque[str] = deque(maxlen=TAIL)
        drains = [asyncio.create_task(_drain(process.stderr, errors))]
        try:
            ready = await self._ready(process, errors, hidden=wanted["mode"] == HIDDEN)
            running = self._running(ready, wanted)
            self._check_honoured(config, ready, tls=bool(self.base["tls"]))
        except BaseException:
            await to_its_end(end(process, drains))
            raise
        drains.append(asyncio.create_task(_drain(process.stdout, deque(maxlen=TAIL))))
        running.process, running.drains = process, drains
        return running

    async def _launch(self, wanted: Mapping[str, Any]) -> asyncio.subprocess.Process:
        launching = asyncio.ensure_future(asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "ERGO_TARGET": json.dumps(wanted)},
            limit=MAX_LINE,
        ))  # fmt: skip
        try:
            return await asyncio.shield(launching)
        except OSError as error:
            raise TargetError(f"{self.command[0]}: {error.strerror or error}") from None
        except asyncio.CancelledError:
            await to_its_end(_unwanted(launching))
            raise

    async def _ready(self, process: asyncio.subprocess.Process, errors: deque[str], *, hidden: bool) -> dict[str, Any]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while line := await process.stdout.readline():
                    if line.startswith(READY):
                        return self._checked(json.loads(line[len(READY) :]), hidden=hidden)
                code = await process.wait()
        except TimeoutError:
            raise TargetError(f"{self.spelled}: no READY line within {START_TIMEOUT:g} s{_tail(errors)}") from None
        except ValueError as error:
            raise TargetError(f"{self.spelled}: READY is not one line of JSON: {error}") from None
        await asyncio.sleep(0.05)  # its last words may still be in the pipe
        raise TargetError(f"{self.spelled}: ended with code {code} before its READY line{_tail(errors)}")

    def _checked(self, ready: Any, *, hidden: bool) -> dict[str, Any]:
        """READY, if its keys are of the right kind; of what is missing the setting we asked for holds.

        `hidden`: the target was asked not to listen, so it may have no port.
        """
        kinds: Mapping[str, tuple[type, ...]] = {
            "name": (str,),
            "port": (int, type(None)),
            "registrar_port": (int, type(None)),
            "host": (str, type(None)),
            "cookie": (str, type(None)),
            "offers": (list, type(None)),
            "config": (dict, type(None)),
            "pids": (dict, type(None)),
            "token": (str, type(None)),
        }
        if not isinstance(ready, dict) or not (
            "name" in ready and ("port" in ready or ready.get("registrar_port") or hidden)
        ):
            raise TargetError(f"{self.spelled}: READY needs at least name and port")
        for key, kind in kinds.items():
            if not isinstance(ready.get(key), kind):
                raise TargetError(f"{self.spelled}: READY has no good {key}: {ready.get(key)!r}")
        for key in ("port", "registrar_port"):
            if ready.get(key) is not None and not 0 < ready[key] <= MAX_PORT:
                raise TargetError(f"{self.spelled}: READY has no good {key}: {ready[key]}")
        if ready.get("port") is None and not ready.get("registrar_port") and not hidden:
            raise TargetError(f"{self.spelled}: READY has no good port: None")
        return ready

    def _running(self, ready: Mapping[str, Any], wanted: Mapping[str, Any]) -> ProcessRunning:
        target_info = TargetInfo(str(ready["name"]), str(ready.get("cookie") or wanted["cookie"]))
        offers = frozenset(ready.get("offers") or ("accept",)) if self.offers is None else self.offers
        offers -= set() if ready.get("port") else {"accept", "agents"}
        context = client_context(None) if ready.get("tls") else None
        config = dict(ready.get("config") or {})
        config["tls"] = bool(ready.get("tls"))
        address = reach(
            str(ready.get("host") or wanted["host"]),
            int(ready.get("port") or 0),
            target_info,
            context=context,
            offers=offers,
            config=config,
        )
        running = ProcessRunning(target_info, address.tls, offers, config)
        running.host, running.port, running.context = address.host, address.port, address.context
        if ready.get("registrar_port"):
            running.registrar = address.host, int(ready["registrar_port"])
        running.token = str(ready.get("token") or "")
        running.pids, running.types = dict(ready.get("pids") or {}), bool(ready.get("types"))
        running.agents = frozenset(running.pids)
        return running

    @staticmethod
    def _check_honoured(config: Mapping[str, Any], ready: Mapping[str, Any], *, tls: bool) -> None:
        """What a case asked for has to be among the settings that READY says are in force."""
        honoured = ready.get("config") or {}
        if tls and not ready.get("tls") and "tls" not in config:
            raise TargetError("the target does not honour tls: --tls has no effect on it")
        for key, value in config.items():
            if key == "tls":
                if bool(ready.get("tls")) != bool(value):
                    raise NotGivenError("needs a TLS connection" if value else "needs a plain connection")
            elif key not in honoured:
                raise NotGivenError(f"needs a target that honours {key}")
            elif not in_force(value, honoured[key]):
                raise NotGivenError(f"needs {key} = {value!r}, the target has {honoured[key]!r}")

    async def close(self) -> None:
        if self._files is not None:
            self._files.cleanup()
            self._files = None


def in_force(wanted: Any, found: Any) -> bool:
    """Whether a setting is what was asked for; of an object only the keys that were asked for count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and in_force(value, found[key]) for key, value in wanted.items())
    return bool(wanted == found)


async def _drain(stream: asyncio.StreamReader | None, tail: deque[str]) -> None:
    """Reads what the target prints, so that it never waits for us; keeps the last lines."""
    rest = b""
    while stream is not None and (chunk := await stream.read(65536)):
        *lines, rest = (rest + chunk).split(b"\n")
        tail.extend(line.decode(errors="replace") for line in lines)
        rest = rest[-MAX_LINE:]
    if rest:
        tail.append(rest.decode(errors="replace"))


def _tail(errors: deque[str]) -> str:
    return "".join(f"\n  | {line}" for line in errors)
