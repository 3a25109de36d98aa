"""`ergo-conformance registrar`: runs a registrar without a node."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CannotEncode, UsageError
from ..locate import TOKEN_VARIABLE
from ..model.ergo import esrd, saturn
from . import logs, signals, toml

app = typer.Typer(help="Run a registrar without a node.", no_args_is_help=True, add_completion=False)


@app.callback()
def registrar() -> None:
    """Run a registrar without a node."""


@app.command("esrd")
def run_esrd(
    host: Annotated[
        str, typer.Option(help="Address for registrations (TCP); resolve requests (UDP) are answered on all addresses.")
    ] = ("localhost"),
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="TCP and UDP port; 0 is any port that is free for both.")
    ] = esrd.PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")] = False,
    log_format: Annotated[logs.LogFormat, typer.Option(help="Format of the log.")] = logs.LogFormat.TEXT,
) -> None:
    """Run the embedded registrar (ESRD). It prints one READY line and serves until SIGTERM."""
    logs.set_up(logs.LogLevel.DEBUG if verbose else logs.LogLevel.WARNING, log_format)
    asyncio.run(serve(host, port))


@app.command("saturn")
def run_saturn(
    token: Annotated[
        str,
        typer.Option(envvar=TOKEN_VARIABLE, show_envvar=True, help="Token that nodes must prove; random if absent."),
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; empty is all addresses.")] = "localhost",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 is any free port.")] = saturn.PORT,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="Certificate (PEM); without it a new self-signed one.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Key of the certificate (PEM).")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Configuration items; reloaded at SIGHUP.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")] = False,
    log_format: Annotated[logs.LogFormat, typer.Option(help="Format of the log.")] = logs.LogFormat.TEXT,
) -> None:
    """Run the central registrar (Saturn). It prints one READY line and serves until SIGTERM."""
    logs.set_up(logs.LogLevel.DEBUG if verbose else logs.LogLevel.WARNING, log_format)
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key must be given together")
    asyncio.run(serve_saturn(token, host, port, (tls_cert, tls_key), config))


def items_of(path: Path | None) -> dict[str, Any]:
    """Configuration items of a TOML file; names of nested tables are joined by colons. UsageError for an invalid item."""
    from ..reference_node.ergo.saturn import write

    items = dict(_flat("", toml.read(path), path))
    for name, value in items.items():
        try:
            write(saturn.ConfigUpdate(name, value))
        except CannotEncode as error:
            raise UsageError(f"{path}: {name[:80]} can't be encoded: {error}") from None
    return items


def _flat(prefix: str, table: dict[str, Any], path: Path | None) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(f"{name}:", value, path)
        elif type(value) in (str, int, float, bool):
            yield name, value
        else:
            raise UsageError(f"{path}: {name} is a {type(value).__name__} (supported: texts, numbers, booleans)")


async def serve_saturn(
    token: str, host: str, port: int, files: tuple[str | None, str | None], config: Path | None
) -> None:
    """Runs a Saturn until SIGTERM or SIGINT. UsageError if it can't start."""
    from ..reference_node.connection.tls import load
    from ..reference_node.registrars.saturn_server import SaturnServer

    token = token or secrets.token_hex(16)
    keys = load(files[0], files[1]) if files[0] and files[1] else None
    server = SaturnServer(token, host=host, port=port, keys=keys, config=items_of(config))
    stop = signals.stop_event()
    signals.handle("SIGHUP", lambda: _configure(server, config))
    try:
        await server.start()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot serve on {host}:{port}: {short_text(error)}") from None
    ready = {
        "name": "", "host": host, "registrar_port": server.port, "token": token, "os_pid": os.getpid(),
        "offers": ["saturn"], "config": {},
    }  # fmt: skip
    print("READY", json.dumps(ready), flush=True)
    await stop.wait()
    await server.stop()


def _configure(server: Any, config: Path | None) -> None:
    """Reloads the items; keeps the old ones if the file can't be read."""
    try:
        server.directory.configure(items_of(config))
    except UsageError as error:
        print(error, file=sys.stderr, flush=True)


async def serve(host: str, port: int) -> None:
    """Runs an ESRD registrar until SIGTERM or SIGINT. UsageError if its sockets can't be opened."""
    from ..reference_node.registrars.esrd_server import EsrdServer

    stop = signals.stop_event()
    server = EsrdServer(host, port)
    try:
        await server.start()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot serve on {host}:{port}: {short_text(error)}") from None
    ready = {
        "name": "", "host": host, "registrar_port": server.port, "os_pid": os.getpid(), "offers": ["registrar"],
        "config": {},
    }  # fmt: skip
    print("READY", json.dumps(ready), flush=True)
    await stop.wait()
    await server.stop()


def short_text(error: OSError | UnicodeError) -> str:
    """Short text of an error: asyncio's texts repeat the address, and name look-ups have their own error numbers."""
    if isinstance(error, UnicodeError):
        return "no such host"
    return error.strerror or str(error) if (error.errno or 0) <= 0 else os.strerror(error.errno or 0)
