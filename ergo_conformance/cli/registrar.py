"""`ergo-conformance registrar`: a registrar without a node."""

import asyncio
import json
import logging
import os
import signal
import sys
from typing import Annotated

import typer

from ..errors import UsageError
from ..model import esrd

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
) -> None:
    """Run the embedded registrar (ESRD): it prints one READY line and serves until SIGTERM."""
    if verbose:
        logging.basicConfig(format="%(asctime)s %(name)s %(message)s", stream=sys.stderr, level=logging.DEBUG)
    asyncio.run(serve(host, port))


async def serve(host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT. UsageError if the sockets can't be had."""
    from ..reference_node.registrar import EsrdServer

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
