"""`ergo-conformance registrar`: a registrar without a node."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CannotEncode, UsageError
from ..locate import TOKEN_VARIABLE
from ..model.ergo import esrd, saturn
from . import logs, toml

app = typer.Typer(help="Run a registrar alone.", no_args_is_help=True)


@app.callback()
def registrar() -> None:
    """Run a registrar alone."""


@app.command("esrd")
def run_esrd(
    host: Annotated[str, typer.Option(help="Where registrations are taken; resolves are answered everywhere.")] = (
        "localhost"
    ),
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of TCP and UDP; 0 is any that is free for both.")
    ] = esrd.PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log on stderr.")] = False,
    log_format: Annotated[logs.Format, typer.Option(help="Of the log: lines to read, or JSON.")] = logs.Format.TEXT,
) -> None:
    """Run the embedded registrar (ESRD): it prints one READY line and serves until SIGTERM."""
    logs.set_up(logs.Level.DEBUG if verbose else logs.Level.WARNING, log_format)
    asyncio.run(serve(host, port))


@app.command("saturn")
def run_saturn(
    token: Annotated[str, typer.Option(envvar=TOKEN_VARIABLE, show_envvar=True, help="What nodes have to prove.")] = "",
    host: Annotated[str, typer.Option(help="Where to listen; empty is all addresses.")] = "localhost",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where to listen; 0 is any free port.")] = saturn.PORT,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate (PEM); a new one without.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Configuration items; read again at SIGHUP.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log on stderr.")] = False,
    log_format: Annotated[logs.Format, typer.Option(help="Of the log: lines to read, or JSON.")] = logs.Format.TEXT,
) -> None:
    """Run the central registrar (Saturn): it prints one READY line and serves until SIGTERM."""
    logs.set_up(logs.Level.DEBUG if verbose else logs.Level.WARNING, log_format)
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    asyncio.run(serve_saturn(token, host, port, (tls_cert, tls_key), config))


def items_of(path: Path | None) -> dict[str, Any]:
    """The items in a TOML file: tables nest with colons in between. UsageError if it can't be read, or an item not be told."""
    from ..reference_node.ergo.saturn import write

    items = dict(_flat("", toml.read(path), path))
    for name, value in items.items():
        try:
            write(saturn.ConfigUpdate(name, value))
        except CannotEncode as error:
            raise UsageError(f"{path}: {name[:80]} can't be told: {error}") from None
    return items


def _flat(prefix: str, table: dict[str, Any], path: Path | None) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(f"{name}:", value, path)
        elif type(value) in (str, int, float, bool):
            yield name, value
        else:
            raise UsageError(f"{path}: {name} is a {type(value).__name__}; texts, numbers and booleans can be told")


async def serve_saturn(
    token: str, host: str, port: int, files: tuple[str | None, str | None], config: Path | None
) -> None:
    """Serves until SIGTERM or SIGINT. UsageError if it can't."""
    from ..reference_node.connection.tls import load
    from ..reference_node.registrars.saturn import SaturnServer

    token = token or secrets.token_hex(16)
    keys = load(files[0], files[1]) if files[0] and files[1] else None
    server = SaturnServer(token, host=host, port=port, keys=keys, config=items_of(config))
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: _configure(server, config))
    try:
        await server.start()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot serve on {host}:{port}: {why(error)}") from None
    ready = {
        "name": "", "host": host, "registrar_port": server.port, "token": token, "os_pid": os.getpid(),
        "offers": ["saturn"], "config": {},
    }  # fmt: skip
    print("READY", json.dumps(ready), flush=True)
    await stop.wait()
    await server.stop()


def _configure(server: Any, config: Path | None) -> None:
    """Reads the items again; a file that can't be read changes nothing."""
    try:
        server.directory.configure(items_of(config))
    except UsageError as error:
        print(error, file=sys.stderr, flush=True)


async def serve(host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT. UsageError if the sockets can't be had."""
    from ..reference_node.registrars.esrd import EsrdServer

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    server = EsrdServer(host, port)
    try:
        await server.start()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot serve on {host}:{port}: {why(error)}") from None
    ready = {
        "name": "", "host": host, "registrar_port": server.port, "os_pid": os.getpid(), "offers": ["registrar"],
        "config": {},
    }  # fmt: skip
    print("READY", json.dumps(ready), flush=True)
    await stop.wait()
    await server.stop()


def why(error: OSError | UnicodeError) -> str:
    """In a few words; asyncio's own go on about addresses, and errors of look-ups have numbers of their own."""
    if isinstance(error, UnicodeError):
        return "no such host"
    return error.strerror or str(error) if (error.errno or 0) <= 0 else os.strerror(error.errno or 0)
