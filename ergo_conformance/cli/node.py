"""`ergo-conformance node`: runs a reference node until SIGTERM."""

import asyncio
import difflib
import json
import logging
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from ..errors import UsageError
from . import logs, signals, toml

app = typer.Typer(add_completion=False)
log = logging.getLogger(f"{logs.LOGGER}.node")

Json = Any
VARIABLE: Final = "ERGO_TARGET"
STOP_TIMEOUT: Final = 4.0
"""Seconds for the node to stop; a target must end within 5 s of SIGTERM (docs/test-your-node.md)."""


@app.command()
def node(  # noqa: PLR0913, PLR0917  one argument per option
    name: Annotated[str | None, typer.Option(help="Name of the node, NAME@HOST.")] = None,
    cookie: Annotated[str | None, typer.Option(help="Shared secret of the nodes.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 is any free port.")] = None,
    pool: Annotated[int | None, typer.Option(help="Pool size that is announced to dialing nodes.")] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help="Use TLS with a new self-signed certificate.")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Use TLS with this certificate (PEM).")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Key of the certificate (PEM).")] = None,
    disable_tls_fingerprint: Annotated[
        bool | None, typer.Option("--disable-tls-fingerprint", help="Do not verify the fingerprints of certificates.")
    ] = None,
    max_message_size: Annotated[int | None, typer.Option(help="Maximum message size in bytes; 0 is no limit.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="Network mode: enabled, hidden (no acceptor) or disabled (no network).")
    ] = None,
    flags: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,-NAME…", help="Network flags to announce; - before a name clears it: spawn,-important."
        ),
    ] = None,
    registrar_port: Annotated[
        int | None,
        typer.Option(help="Port of the embedded registrar, to serve it or to register with it; 0 is any free port."),
    ] = None,
    agents: Annotated[
        bool | None,
        typer.Option(
            "--agents/--no-agents", help="Host the agents (echo, sink, …); the default is yes if ERGO_TARGET is set."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings file with the keys of ERGO_TARGET, which has priority."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log refusals to stderr; short for --log-level debug.")
    ] = False,
    log_level: Annotated[
        logs.LogLevel, typer.Option(help="Lowest level that is logged to stderr.")
    ] = logs.LogLevel.WARNING,
    log_format: Annotated[logs.LogFormat, typer.Option(help="Format of the log.")] = logs.LogFormat.TEXT,
) -> None:
    """Run a reference node. It prints one READY line and serves until SIGTERM.

    Settings come from a file, from the environment variable ERGO_TARGET (one JSON object), and from options; options have
    the highest priority, the file the lowest. SIGHUP reloads the certificates of the acceptors.
    """
    logs.set_up(logs.LogLevel.DEBUG if verbose else log_level, log_format)
    given: dict[str, Json] = {
        "name": name, "cookie": cookie, "host": host, "port": port, "pool": pool, "mode": mode,
        "tls": _tls(tls, tls_cert, tls_key), "disable_tls_fingerprint": disable_tls_fingerprint,
        "max_message_size": max_message_size, "flags": _flags(flags), "registrar_port": registrar_port,
    }  # fmt: skip
    variable = os.environ.get(VARIABLE)
    target = target_of(variable, given, settings_in(config))
    asyncio.run(serve(target, agents=bool(variable) if agents is None else agents))


def settings_in(path: Path | None) -> dict[str, Json]:
    """Settings of a TOML file. UsageError, one sentence, if the file can't be read or has unknown keys."""
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
                raise UsageError(f"{path}{where}: {key!r} is not a valid setting{hint}")
    return content


def target_of(
    variable: str | None, given: Mapping[str, Json], file: Mapping[str, Json] = MappingProxyType({})
) -> dict[str, Json]:
    """Merges the settings of a file, of ERGO_TARGET and of the command line; the last one has the highest priority.

    UsageError, one sentence, for an invalid value.
    """
    try:
        target = json.loads(variable) if variable else {}
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{VARIABLE} is not JSON: {error}") from None
    if variable:
        check(target, VARIABLE)
    target = whole_numbers(_over(target, file))
    return _over({key: value for key, value in given.items() if value is not None}, target)


def whole_numbers(settings: Json) -> Json:
    """Returns settings with whole numbers as int, also those that are written with a point: JSON knows no difference.

    The values of `env` are kept.
    """
    match settings:
        case float() if settings.is_integer():
            return int(settings)
        case dict():
            return {key: value if key == "env" else whole_numbers(value) for key, value in settings.items()}
        case list():
            return [whole_numbers(value) for value in settings]
    return settings


def _over(upper: Mapping[str, Json], lower: Mapping[str, Json]) -> dict[str, Json]:
    """Merges two sets of settings: flags one by one; an address replaces the list of acceptors."""
    merged = {**lower, **upper}
    if "flags" in upper:
        merged["flags"] = {**lower.get("flags", {}), **upper["flags"]}
    if {"host", "port", "tls"} & upper.keys() and "acceptors" not in upper:
        merged.pop("acceptors", None)
    if "registrar_port" in upper and "registrar" not in upper:
        merged.pop("registrar", None)
    return merged


def check(target: Json, source: str) -> None:
    """Validates settings with the JSON Schema of ERGO_TARGET. UsageError names the key."""
    import jsonschema

    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(_schema()).iter_errors(target))
    if error is not None:
        where = "".join(f".{part}" for part in error.absolute_path)
        raise UsageError(f"{source}{where}: {error.message}")


def _schema() -> Json:
    file = resources.files("ergo_conformance").joinpath("targets", "schemas", "ergo-target.schema.json")
    return json.loads(file.read_text("utf-8"))


async def serve(target: Mapping[str, Json], *, agents: bool) -> None:
    """Runs a node with these settings, prints READY, and stops at SIGTERM or SIGINT. UsageError if it can't start."""
    from ..reference_node.target import config as settings

    stop = signals.stop_event()
    started = await settings.config_of(target).make_node().start()
    signals.handle("SIGHUP", lambda: _reload(started, target))
    supervisor = settings.host_agents(started, target) if agents else None
    print("READY", json.dumps(settings.ready(started, target, supervisor)), flush=True)
    await stop.wait()
    async with asyncio.timeout(STOP_TIMEOUT):
        await started.stop()


def _reload(node: Any, target: Mapping[str, Json]) -> None:
    """Reloads the certificates; keeps the old ones if a file can't be read."""
    from ..reference_node.target import config as settings

    try:
        settings.reload_certificates(node, target)
    except UsageError as error:
        log.warning("certificates not reloaded: %s", error)
    else:
        log.info("certificates reloaded")


def _tls(switch: bool | None, cert: str | None, key: str | None) -> Json:
    """Value of the setting `tls` for the options; None if none of them is given."""
    if (cert is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key must be given together")
    if cert is None:
        return switch
    if switch is False:
        raise UsageError("--no-tls can't be combined with --tls-cert")
    return {"cert": cert, "key": key}


def _flags(text: str | None) -> dict[str, bool] | None:
    """Parses `spawn,-important` to {"spawn": true, "important": false}."""
    from ..reference_node.target.config import FLAGS

    if text is None:
        return None
    flags = {word.strip().removeprefix("-"): not word.strip().startswith("-") for word in text.split(",")}
    for unknown in flags.keys() - FLAGS.keys():
        raise UsageError(f"--flags: {unknown!r} is not a valid flag (supported: {', '.join(FLAGS)})")
    return flags
