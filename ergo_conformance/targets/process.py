"""`process:CMD`: a node that the toolkit starts with a command, which reads ERGO_TARGET and prints a READY line."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..peers.ergo.handshake import TargetInfo
from ..peers.violation import check_shortage
from ..reference_node.api.validation import MAX_PORT
from ..reference_node.connection.tls import self_signed
from .base import ConfigNotSupportedError, RunningTarget, Target, TargetError, base_config, offers_of
from .options import TargetOptions
from .process_group import end_group, note_group
from .tcp import TcpRunningTarget, client_context
from .usage import Usage, usage_of

START_TIMEOUT: Final = 30.0
"""Seconds until the READY line."""
READY: Final = b"READY "
HIDDEN: Final = "hidden"
"""Value of the setting `mode` for a node without an acceptor."""
MAX_LINE: Final = 1 << 20
"""Longest line that is read from stdout, in bytes."""
TAIL: Final = 8
"""Number of lines of stderr that an error shows."""
KEPT_LINES: Final = 1_000
"""Number of lines of stderr that are kept: the last ones."""
LINES_PER_CASE: Final = 20
"""Number of lines of stderr that a case shows: the last ones."""
LINE_KEPT: Final = 1_000
"""Bytes of a line of stderr that are kept: the first ones."""
READY_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
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
"""Keys of READY that are read, and the JSON types that they may have."""


class StderrLog:
    """The last lines that a target wrote to stderr, with the time of their arrival."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str]] = deque(maxlen=KEPT_LINES)

    def append(self, line: str) -> None:
        """Adds a line."""
        self._lines.append((time.monotonic(), line))

    def since(self, moment: float) -> tuple[str, ...]:
        """Returns the lines after a moment of time.monotonic: the last LINES_PER_CASE of them."""
        return tuple(line for at, line in self._lines if at >= moment)[-LINES_PER_CASE:]

    def tail(self) -> str:
        """Returns the last TAIL lines for an error message."""
        return "".join(f"\n  | {line}" for _, line in list(self._lines)[-TAIL:])


@dataclass
class ProcessRunningTarget(TcpRunningTarget):
    """A started process and its address."""

    stoppable = True
    _: KW_ONLY
    process: asyncio.subprocess.Process
    stderr: StderrLog
    drains: list[asyncio.Task[None]]
    """Tasks that read its stdout and stderr."""
    stopping: bool = False
    """True once `stop` was called."""

    @property
    def ended(self) -> str:
        code = self.process.returncode
        if self.stopping or code is None:
            return ""
        how = f"ended with code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
        return f"the target {how}{self.stderr.tail()}"

    def stderr_since(self, since: float) -> tuple[str, ...]:
        return self.stderr.since(since)

    def usage(self) -> Usage | None:
        return usage_of(self.process.pid)

    async def stop(self) -> None:
        self.stopping = True
        await run_uncancelled(end_group(self.process, self.drains))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _end_launched(launching: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    """Ends a process whose start was cancelled."""
    with contextlib.suppress(OSError):
        await end_group(await launching, [])


async def run_uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end even if the caller is cancelled; raises CancelledError afterwards."""
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
    """A command; `-- CMD…` on the command line is the same."""

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
            raise UsageError("process: a command is required (expected process:CMD)")
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

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        wanted = {**self.base, **config}
        wanted["tls"] = self._certificate() if wanted.get("tls") else None
        process = await self._launch(wanted)
        errors = StderrLog()
        drains = [asyncio.create_task(_drain(process.stderr, errors.append))]
        try:
            ready = await self._ready(process, errors, hidden=wanted["mode"] == HIDDEN)
            running = self._running(ready, wanted, process, errors, drains)
            self._check_honoured(config, ready, tls=bool(self.base["tls"]) and wanted["mode"] != HIDDEN)
        except BaseException:
            await run_uncancelled(end_group(process, drains))
            raise
        drains.append(asyncio.create_task(_drain(process.stdout, lambda _: None)))
        return running

    async def _launch(self, wanted: Mapping[str, Any]) -> asyncio.subprocess.Process:
        launching = asyncio.ensure_future(asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "ERGO_TARGET": json.dumps(wanted)},
            limit=MAX_LINE,
            start_new_session=True,  # its own process group; a Ctrl-C in the terminal reaches the run alone
        ))  # fmt: skip
        try:
            process = await asyncio.shield(launching)
        except OSError as error:
            check_shortage(error)
            raise TargetError(f"{self.command[0]}: {error.strerror or error}") from None
        except asyncio.CancelledError:
            await run_uncancelled(_end_launched(launching))
            raise
        note_group(process.pid)
        return process

    async def _ready(self, process: asyncio.subprocess.Process, errors: StderrLog, *, hidden: bool) -> dict[str, Any]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while line := await process.stdout.readline():
                    if line.startswith(READY):
                        return self._checked(json.loads(line[len(READY) :]), hidden=hidden)
                code = await process.wait()
        except TimeoutError:
            raise TargetError(f"{self.text}: no READY line within {START_TIMEOUT:g} s{errors.tail()}") from None
        except ValueError as error:
            raise TargetError(f"{self.text}: READY is not one line of JSON: {error}") from None
        await asyncio.sleep(0.05)  # its last lines may still be in the pipe
        raise TargetError(f"{self.text}: ended with code {code} before its READY line{errors.tail()}")

    def _checked(self, ready: Any, *, hidden: bool) -> dict[str, Any]:
        """Returns READY if its keys have valid values. Raises TargetError.

        `hidden`: the target was told not to listen, so it may leave out the port.
        """
        if not isinstance(ready, dict) or not (
            "name" in ready and ("port" in ready or ready.get("registrar_port") or hidden)
        ):
            raise TargetError(f"{self.text}: READY needs at least name and port")
        for key, types in READY_TYPES.items():
            if not isinstance(ready.get(key), types):
                raise TargetError(f"{self.text}: READY has no valid {key}: {ready.get(key)!r}")
        for key in ("port", "registrar_port"):
            if ready.get(key) is not None and not 0 < ready[key] <= MAX_PORT:
                raise TargetError(f"{self.text}: READY has no valid {key}: {ready[key]} (expected 1 to {MAX_PORT})")
        if ready.get("port") is None and not ready.get("registrar_port") and not hidden:
            raise TargetError(f"{self.text}: READY has no valid port: None")
        return ready

    def _running(
        self,
        ready: Mapping[str, Any],
        wanted: Mapping[str, Any],
        process: asyncio.subprocess.Process,
        stderr: StderrLog,
        drains: list[asyncio.Task[None]],
    ) -> ProcessRunningTarget:
        """The target that READY describes; a missing key has its value in ERGO_TARGET."""
        offers = frozenset(ready.get("offers") or ("accept",)) if self.offers is None else self.offers
        offers -= set() if ready.get("port") else {"accept", "agents"}
        host, tls = str(ready.get("host") or wanted["host"]), bool(ready.get("tls"))
        pids = dict(ready.get("pids") or {})
        return ProcessRunningTarget(
            TargetInfo(str(ready["name"]), str(ready.get("cookie") or wanted["cookie"])),
            tls,
            offers,
            {**(ready.get("config") or {}), "tls": tls},
            pids=pids,
            agents=frozenset(pids),
            types=bool(ready.get("types")),
            token=str(ready.get("token") or ""),
            host=host,
            port=int(ready.get("port") or 0),
            context=client_context(None) if tls else None,
            registrar=(host, int(ready["registrar_port"])) if ready.get("registrar_port") else None,
            process=process,
            stderr=stderr,
            drains=drains,
        )

    @staticmethod
    def _check_honoured(config: Mapping[str, Any], ready: Mapping[str, Any], *, tls: bool) -> None:
        """Checks that READY reports the requested settings. Raises ConfigNotSupportedError, TargetError for `--tls`.

        `tls`: the option `--tls` concerns this target; a hidden one does not listen.
        """
        honoured = ready.get("config") or {}
        if tls and not ready.get("tls") and "tls" not in config:
            raise TargetError("the target does not honour tls: --tls has no effect on it")
        for key, value in config.items():
            if key == "tls":
                if bool(ready.get("tls")) != bool(value):
                    raise ConfigNotSupportedError("needs a TLS connection" if value else "needs a plain connection")
            elif key not in honoured:
                raise ConfigNotSupportedError(f"needs a target that honours {key}")
            elif not in_force(value, honoured[key]):
                raise ConfigNotSupportedError(f"needs {key} = {value!r}, the target has {honoured[key]!r}")

    async def close(self) -> None:
        if self._files is not None:
            self._files.cleanup()
            self._files = None


def in_force(wanted: Any, found: Any) -> bool:
    """Tells whether a setting has the requested value; of an object only the requested keys are compared."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and in_force(value, found[key]) for key, value in wanted.items())
    return bool(wanted == found)


async def _drain(stream: asyncio.StreamReader | None, keep: Callable[[str], None]) -> None:
    """Reads the output of the target, so that it never blocks on a full pipe; hands each line to `keep`, cut at LINE_KEPT."""
    rest = b""
    while stream is not None and (chunk := await stream.read(65536)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            keep(line[:LINE_KEPT].decode(errors="replace"))
        rest = rest[:LINE_KEPT]
    if rest:
        keep(rest.decode(errors="replace"))


def create(options: TargetOptions) -> Target:
    """The target that the options name. UsageError if they are not valid."""
    text = options.target.removeprefix("process:")
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"process:{text}: {error}") from None
    offers = offers_of(options.offers)
    return ProcessTarget(command, cookie=options.cookie, node=options.node, tls=options.tls, offers=offers)
