"""The command `node` as a target: one process, one READY line, terminated by SIGTERM."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ergo_conformance.cli import node as node_command
from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, Flags
from ergo_conformance.reference_node.connection import tls as certificates
from ergo_conformance.reference_node.options import NetworkMode
from ergo_conformance.reference_node.target import config as settings
from ergo_conformance.reference_node.target.agents import LEVEL_1

SCHEMAS = Path(node_command.__file__).parents[1] / "targets" / "schemas"
LIMIT = 60
"""Seconds for a step of the process."""
# The command alone, with the error handling of the command line's main().
PROGRAM = """
import sys, typer
from ergo_conformance.cli.node import node
from ergo_conformance.errors import UsageError
app = typer.Typer()
app.command()(node)
try:
    app()
except UsageError as error:
    sys.exit(f"{error}")
"""


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text("utf-8"))


@contextlib.contextmanager
def running_command(*args: str, target: Any = None) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    environment = {**os.environ, "ERGO_TARGET": "" if target is None else json.dumps(target)}
    command = [sys.executable, "-c", PROGRAM, *args]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), process.communicate(timeout=LIMIT)
            yield process, json.loads(line.removeprefix("READY "))
        finally:
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_ready_and_ends_on_a_signal(signum: signal.Signals) -> None:
    with running_command("--name", "n@localhost", "--cookie", "c", "--pool", "2", "-v") as (process, ready):
        jsonschema.validate(ready, schema("ready.schema.json"))
        jsonschema.validate(ready["config"], schema("ergo-target.schema.json"))
        assert set(ready) == set(schema("ready.schema.json")["properties"]) - {"token"}  # a Saturn's
        assert (ready["name"], ready["cookie"], ready["host"]) == ("n@localhost", "c", "127.0.0.1")
        assert (ready["offers"], ready["tls"], ready["fingerprint_sha1"]) == (["accept"], False, None)
        assert ready["os_pid"] == process.pid
        assert ready["config"] == {
            **settings.DEFAULTS,
            "name": "n@localhost",
            "cookie": "c",
            "pool": 2,
            "port": ready["port"],
            "flags": settings._flags_in_force(DEFAULT_FLAGS),
        }
        with socket.create_connection((ready["host"], ready["port"])) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n")
            peer.settimeout(LIMIT)
            assert peer.recv(1) == b""
        process.send_signal(signum)
        out, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, out) == (0, "")
        assert "first byte is 71" in err


def test_options_override_the_variable() -> None:
    target = {"name": "x@localhost", "cookie": "from the variable", "tls": {}, "flags": {"spawn": False}, "own": 1}
    with running_command("--name", "n@localhost", "--flags", "-important,fragmentation", target=target) as (
        process,
        ready,
    ):
        assert (ready["name"], ready["cookie"], ready["tls"]) == ("n@localhost", "from the variable", True)
        flags = ready["config"]["flags"]
        assert (flags["spawn"], flags["important"], flags["fragmentation"]) == (False, False, True)
        assert "own" not in ready["config"]
        certificate = ssl.get_server_certificate((ready["host"], ready["port"]))
        assert ready["fingerprint_sha1"] == sha1(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()  # noqa: S324
        process.terminate()
        assert process.communicate(timeout=LIMIT) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("args", "target", "hosts"),
    [((), None, False), (("--agents",), None, True), ((), {}, True), (("--no-agents",), {}, False)],
)
def test_agents_run_with_a_target_variable_or_the_option(args: tuple[str, ...], target: Any, hosts: bool) -> None:
    with running_command("--cookie", "c", *args, target=target) as (process, ready):
        jsonschema.validate(ready, schema("ready.schema.json"))
        assert ready["offers"] == ["accept", "agents"][: 1 + hosts]
        assert ready["types"] is True
        assert LEVEL_1.keys() <= ready["pids"].keys() if hosts else ready["pids"] == {}
        assert len(set(ready["pids"].values())) == len(ready["pids"])
        process.terminate()
        assert process.communicate(timeout=LIMIT) == ("", "")


def test_a_port_in_use_is_a_usage_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="no available ports in range"),
    ):
        node_command.node(port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("{", "ERGO_TARGET is not JSON"),
        ("[]", "ERGO_TARGET: .* is not of type 'object'"),
        ('{"port": "80"}', r"ERGO_TARGET\.port: "),
        ('{"pool": 0}', r"ERGO_TARGET\.pool: "),
        ('{"mode": "x"}', r"ERGO_TARGET\.mode: "),
        ('{"flags": {"spawn": 1}}', r"ERGO_TARGET\.flags\.spawn: "),
        ('{"tls": {"cert": "x"}}', r"ERGO_TARGET\.tls: "),
        ('{"name": "x"}', r"ERGO_TARGET\.name: "),
        ('{"acceptors": [{"port": -1}]}', r"ERGO_TARGET\.acceptors\.0\.port: "),
    ],
)
def test_an_invalid_variable_is_a_usage_error(variable: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        node_command.target_of(variable, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"port": 70_000},
        {"pool": 65},
        {"mode": "x"},
        {"name": "x"},
        {"max_message_size": -1},
        {"flags": "spawn,fly"},
        {"tls_cert": "cert.pem"},
        {"tls": False, "tls_cert": "cert.pem", "tls_key": "key.pem"},
        {"tls_cert": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"},
    ],
    ids=str,
)
def test_invalid_options_are_a_usage_error(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERGO_TARGET", raising=False)
    with pytest.raises(UsageError) as caught:
        node_command.node(**given)
    assert "\n" not in str(caught.value)


def test_acceptors_replace_host_port_and_tls(tmp_path: Path) -> None:
    pair = certificates.self_signed(["localhost"])
    files = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    for file, pem in zip(files.values(), pair, strict=True):
        Path(file).write_bytes(pem)
    rows = [{"tls": files, "cookie": "own"}, {"flags": {"spawn": False}, "max_message_size": 5}]
    target = {"name": "n@localhost", "acceptors": rows, "mode": "hidden", "tls": {}}
    options = settings.config_of(node_command.target_of(json.dumps(target), {}))
    tls, plain = options.network.acceptors
    assert (tls.tls, tls.cookie, tls.flags, plain.tls, plain.cookie) == (pair, "own", None, None, None)
    assert (plain.flags, plain.max_message_size) == (DEFAULT_FLAGS & ~Flags.REMOTE_SPAWN, 5)
    assert options.network.mode is NetworkMode.HIDDEN
    assert "acceptors" not in node_command.target_of(json.dumps(target), {"port": 0})
    with running_command(target={**target, "mode": "enabled"}) as (_, ready):
        first, second = ready["config"]["acceptors"]
        assert (first["port"], first["tls"], first["cookie"]) == (ready["port"], files, "own")
        assert (second["flags"]["spawn"], second["max_message_size"]) == (False, 5)
        assert ready["config"]["tls"] == files
        assert ready["fingerprint_sha1"] == certificates.fingerprint_sha1(pair.certificate).hex()


def test_a_hidden_node_has_no_port() -> None:
    with running_command("--mode", "hidden") as (_, ready):
        jsonschema.validate(ready, schema("ready.schema.json"))
        assert (ready["port"], ready["host"], ready["offers"]) == (None, None, [])
        assert not {"host", "port", "pool", "tls"} & ready["config"].keys()


def test_the_schemas_are_valid() -> None:
    found = sorted(SCHEMAS.glob("*.json"))
    assert [path.name for path in found] == ["ergo-target.schema.json", "ready.schema.json"]
    for path in found:
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))
