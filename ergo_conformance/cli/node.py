"""`ergo-conformance node`: run a reference node until SIGTERM."""

import asyncio
import difflib
import json
import logging
import os
import signal
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from ..errors import UsageError
from . import logs, toml

log = logging.getLogger(f"{logs.LOGGER}.node")

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
    mode: Annotated[str | None, typer.Option(help="enabled; hidden: can't be dialed; disabled: no network.")] = None,
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
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Settings, with the keys of ERGO_TARGET; those win.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log refusals on stderr: the same as --log-level debug.")
    ] = False,
    log_level: Annotated[logs.Level, typer.Option(help="What to log on stderr.")] = logs.Level.WARNING,
    log_format: Annotated[logs.Format, typer.Option(help="Of the log: lines to read, or JSON.")] = logs.Format.TEXT,
) -> None:
    """Run a reference node: it prints one READY line and can be dialed until SIGTERM.

    Settings come from a file, from the environment variable ERGO_TARGET (one JSON object), and from options; the later
    of them win.  SIGHUP reads the certificates of acceptors again.
    """
    logs.set_up(logs.Level.DEBUG if verbose else log_level, log_format)
    given: dict[str, Json] = {
        "name": name, "cookie": cookie, "host": host, "port": port, "pool": pool, "mode": mode,
        "tls": _tls(tls, tls_cert, tls_key), "disable_tls_fingerprint": disable_tls_fingerprint,
        "max_message_size": max_message_size, "flags": _flags(flags), "registrar_port": registrar_port,
    }  # fmt: skip
    variable = os.environ.get(VARIABLE)
    target = target_of(variable, given, settings_in(config))
    asyncio.run(serve(target, agents=bool(variable) if agents is None else agents))


def settings_in(path: Path | None) -> dict[str, Json]:
    """The settings in a TOML file. UsageError, one sentence, for a file that can't be read and for keys that mean nothing."""
    content = toml.read(path)
    if not content:
        return {}
    check(content, str(path))
    rows = [("", content, _schema()["properties"])]
    acceptor = _schema()["$defs"]["acceptor"]["properties"]
    rows += [(f".acceptors.{i}", row, acceptor) for i, row in enumerate(content.get("acceptors", ()))]
    for where, row, known in rows:
        for key in row:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise UsageError(f"{path}{where}: {key!r} is no setting{hint}")
    return content


def target_of(
    variable: str | None, given: Mapping[str, Json], file: Mapping[str, Json] = MappingProxyType({})
) -> dict[str, Json]:
    """The settings of a file, ERGO_TARGET over them, the options given on the command line over both.

    UsageError, one sentence, for bad values.
    """
    try:
        target = json.loads(variable) if variable else {}
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is not JSON: {error}") from None
    if variable:
        check(target, VARIABLE)
    target = _over(target, file)
    return _over({key: value for key, value in given.items() if value is not None}, target)


def _over(upper: Mapping[str, Json], lower: Mapping[str, Json]) -> dict[str, Json]:
    """One set of settings over another: flags one by one; an address in place of several acceptors."""
    merged = {**lower, **upper}
    if "flags" in upper:
        merged["flags"] = {**lower.get("flags", {}), **upper["flags"]}
    if {"host", "port", "tls"} & upper.keys() and "acceptors" not in upper:
        merged.pop("acceptors", None)
    if "registrar_port" in upper and "registrar" not in upper:
        merged.pop("registrar", None)
    return merged


def check(target: Json, source: str) -> None:
    """Hold settings against the schema of ERGO_TARGET. UsageError names the key."""
    import jsonschema

    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(_schema()).iter_errors(target))
    if error is not None:
        where = "".join(f".{part}" for part in error.absolute_path)
        raise UsageError(f"{source}{where}: {error.message}")


def _schema() -> Json:
    file = resources.files("ergo_conformance").joinpath("targets", "schemas", "ergo-target.schema.json")
    return json.loads(file.read_text("utf-8"))


async def serve(target: Mapping[str, Json], *, agents: bool) -> None:
    """Run a node with these settings, say READY, end at SIGTERM or SIGINT. UsageError if it can't start."""
    from ..reference_node.target import config as settings

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    started = await settings.config_of(target).make_node().start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: _reload(started, target))
    supervisor = settings.host_agents(started, target) if agents else None
    print("READY", json.dumps(settings.ready(started, target, supervisor)), flush=True)
    await stop.wait()
    async with asyncio.timeout(STOP_TIMEOUT):
        await started.stop()


def _reload(node: Any, target: Mapping[str, Json]) -> None:
    """Reads certificates again; files that can't be read change nothing."""
    from ..reference_node.target import config as settings

    try:
        settings.reload_certificates(node, target)
    except UsageError as error:
        log.warning("the certificates stay as they were: %s", error)
    else:
        log.info("certificates are read again")


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
    from ..reference_node.target.config import FLAGS

    if text is None:
        return None
    flags = {word.strip().removeprefix("-"): not word.strip().startswith("-") for word in text.split(",")}
    for unknown in flags.keys() - FLAGS.keys():
        raise UsageError(f"--flags: {unknown!r} is none of {', '.join(FLAGS)}")
    return flags
