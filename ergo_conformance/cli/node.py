"""`ergo-conformance node`: run a reference node until SIGTERM."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Final

import typer

from ..errors import UsageError

Json = Any
VARIABLE: Final = "ERGO_TARGET"
STOP_TIMEOUT: Final = 4.0
"""Seconds: a target ends within 5 s of SIGTERM (docs/test-your-node.md)."""


def node(  # noqa: PLR0913, PLR0917  one argument per option
    name: Annotated[str | None, typer.Option(help="Name of the node, NAME@HOST.")] = None,
    cookie: Annotated[str | None, typer.Option(help="The secret that both sides share.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; 0 is any free port.")] = None,
    pool: Annotated[int | None, typer.Option(help="Links announced to those who dial.")] = None,
    tls: Annotated[bool | None, typer.Option("--tls/--no-tls", help="TLS, with a new certificate.")] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="TLS, with this certificate (PEM).")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Key of the certificate (PEM).")] = None,
    disable_tls_fingerprint: Annotated[
        bool | None, typer.Option("--disable-tls-fingerprint", help="Do not check certificates' fingerprints.")
    ] = None,
    max_message_size: Annotated[int | None, typer.Option(help="Bytes; 0 is no limit.")] = None,
    mode: Annotated[str | None, typer.Option(help="enabled, or hidden: can't be dialed.")] = None,
    flags: Annotated[
        str | None, typer.Option(metavar="NAME,-NAME…", help="Features to announce or not: spawn,-important.")
    ] = None,
    registrar_port: Annotated[
        int | None, typer.Option(help="Register with, or be, the embedded registrar on this port; 0 is any free one.")
    ] = None,
    agents: Annotated[
        bool | None,
        typer.Option("--agents/--no-agents", help="Host echo, sink, …; by default if ERGO_TARGET is set."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log refusals on stderr.")] = False,
) -> None:
    """Run a reference node: it prints one READY line and can be dialed until SIGTERM.

    Settings come from the environment variable ERGO_TARGET (one JSON object); options win.
    """
    if verbose:
        logging.basicConfig(format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
        logging.getLogger("ergo_conformance").setLevel(logging.DEBUG)
    given: dict[str, Json] = {
        "name": name, "cookie": cookie, "host": host, "port": port, "pool": pool, "mode": mode,
        "tls": _tls(tls, tls_cert, tls_key), "disable_tls_fingerprint": disable_tls_fingerprint,
        "max_message_size": max_message_size, "flags": _flags(flags), "registrar_port": registrar_port,
    }  # fmt: skip
    variable = os.environ.get(VARIABLE)
    asyncio.run(serve(target_of(variable, given), agents=bool(variable) if agents is None else agents))


def target_of(variable: str | None, given: Mapping[str, Json]) -> dict[str, Json]:
    """ERGO_TARGET with the options given on the command line over it. UsageError, one sentence, for bad values."""
    try:
        target = json.loads(variable) if variable else {}
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is not JSON: {error}") from None
    if variable:
        check(target)
    options = {key: value for key, value in given.items() if value is not None}
    if "flags" in options:
        options["flags"] = {**target.get("flags", {}), **options["flags"]}
    if {"host", "port", "tls"} & options.keys():
        target.pop("acceptors", None)
    return {**target, **options}


def check(target: Json) -> None:
    """Hold ERGO_TARGET against its schema. UsageError names the key."""
    import jsonschema

    schema = json.loads(
        resources.files("ergo_conformance").joinpath("targets", "schemas", "ergo-target.schema.json").read_text("utf-8")
    )
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(target))
    if error is not None:
        where = "".join(f".{part}" for part in error.absolute_path)
        raise UsageError(f"{VARIABLE}{where}: {error.message}")


async def serve(target: Mapping[str, Json], *, agents: bool) -> None:
    """Run a node with these settings, say READY, end at SIGTERM or SIGINT. UsageError if it can't start."""
    from ..reference_node import settings

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    started = await settings.options_of(target).start()
    supervisor = settings.host_agents(started, target) if agents else None
    print("READY", json.dumps(settings.ready(started, target, supervisor)), flush=True)
    await stop.wait()
    async with asyncio.timeout(STOP_TIMEOUT):
        await started.stop()


def _tls(switch: bool | None, cert: str | None, key: str | None) -> Json:
    """The `tls` value that the options stand for; None where none of them was given."""
    if (cert is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    if cert is None:
        return switch
    if switch is False:
        raise UsageError("--no-tls and --tls-cert contradict each other")
    return {"cert": cert, "key": key}


def _flags(text: str | None) -> dict[str, bool] | None:
    """`spawn,-important` as {"spawn": true, "important": false}."""
    from ..reference_node.settings import FLAGS

    if text is None:
        return None
    flags = {word.strip().removeprefix("-"): not word.strip().startswith("-") for word in text.split(",")}
    for unknown in flags.keys() - FLAGS.keys():
        raise UsageError(f"--flags: {unknown!r} is none of {', '.join(FLAGS)}")
    return flags
