"""`ergo-conformance node`: settings from a file, logging, reload of certificates."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.reference_node.connection.tls import client_context, self_signed
from tests.support.cli import COMMAND, cli, environment

HOST = "127.0.0.1"


@contextlib.contextmanager
def running(*args: str, target: Any = None) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    variables = {**environment(), "ERGO_TARGET": "" if target is None else json.dumps(target)}
    command = [*COMMAND, "node", *args]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), process.communicate(timeout=120)
            yield process, json.loads(line.removeprefix("READY "))
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]") -> list[str]:
    """Stops the process with SIGTERM; returns the lines on stderr. The exit code must be 0."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    return err.splitlines()


def test_options_have_priority_over_the_variable_and_the_variable_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        'name = "file@localhost"\ncookie = "file"\npool = 7\nexpose_env = true\n'
        '[flags]\nspawn = false\nfragmentation = true\n[env]\nKEY = "value"\n[[acceptors]]\nport = 0\ncookie = "own"\n'
    )
    target = {"cookie": "variable", "pool": 5, "flags": {"fragmentation": False}}
    with running("--config", str(file), "--pool", "4", target=target) as (process, ready):
        config = ready["config"]
        assert (ready["name"], ready["cookie"], config["pool"]) == ("file@localhost", "variable", 4)
        assert (config["expose_env"], config["env"]) == (True, {"KEY": "value"})
        assert (config["flags"]["spawn"], config["flags"]["fragmentation"]) == (False, False)
        assert config["acceptors"][0]["cookie"] == "own"
        assert ended(process) == []
    with running("--config", str(file), "--port", "0") as (process, ready):
        assert "acceptors" not in ready["config"], "an address on the command line is the only one"
        ended(process)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("cookie", "node.toml: "),
        ("cookei = 'x'", "'cookei' is not a valid setting; did you mean 'cookie'?"),
        ("[[acceptors]]\nhots = 'x'", "node.toml.acceptors.0: 'hots' is not a valid setting; did you mean 'host'?"),
        ("pool = 'three'", "node.toml.pool: 'three' is not of type 'integer'"),
        ("pool = 65", "pool_size is 65; allowed: 1 to 64"),
        ("name = 'a'", "node.toml.name: "),
        ("mode = 'shy'", "node.toml.mode: 'shy' is not one of"),
        ("[registrar]\nkind = 'epmd'", "unknown registrar kind 'epmd' (supported: esrd, saturn)"),
        ("[registrar]\nkind = 'saturn'\nport = 0", "registrar port is 0"),
        ("[[acceptors]]\ntls = {cert = '/no/such.pem', key = '/no/such.pem'}", "cannot read /no/such.pem"),
        ("ca = '/no/such.pem'", "cannot read the CA certificates in /no/such.pem"),
    ],
)
def test_invalid_settings_file_gives_one_sentence(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(content)
    result = (
        cli("node", "--port", "0", "--config", file) if "acceptors" not in content else cli("node", "--config", file)
    )
    assert result.code == 2
    assert complaint in result.err
    assert len(result.err.splitlines()) == 1


def test_missing_settings_file_gives_one_sentence(tmp_path: Path) -> None:
    result = cli("node", "--config", tmp_path / "none.toml")
    assert (result.code, "No such file" in result.err) == (2, True)


def test_node_with_disabled_network_starts() -> None:
    with running("--mode", "disabled") as (process, ready):
        assert (ready["host"], ready["port"], ready["offers"]) == (None, None, [])
        assert ended(process) == []


def send_http_request(ready: Any) -> None:
    """Sends an HTTP request to the node and waits until it closes the socket."""
    with socket.create_connection((HOST, ready["port"])) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_node_logs_nothing_by_default() -> None:
    with running() as (process, ready):
        send_http_request(ready)
        assert ended(process) == []


@pytest.mark.parametrize("options", [("-v",), ("--log-level", "info")])
def test_text_log_has_one_line_for_each_record(options: tuple[str, ...]) -> None:
    with running(*options) as (process, ready):
        send_http_request(ready)
        assert any("INFO" in line and "first byte is 71" in line for line in ended(process))


def test_json_log_has_one_object_for_each_record() -> None:
    with running("--log-level", "info", "--log-format", "json") as (process, ready):
        send_http_request(ready)
        lines = [json.loads(line) for line in ended(process)]
    assert lines
    assert all(line.keys() == {"time", "level", "logger", "message"} for line in lines)
    assert any("first byte is 71" in line["message"] and line["level"] == "info" for line in lines)


def fingerprint(port: int) -> str:
    """Returns the SHA-1 fingerprint of the certificate that is served at a port."""
    with (
        socket.create_connection((HOST, port)) as plain,
        client_context().wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        return hashlib.sha1(tls.getpeercert(binary_form=True) or b"", usedforsecurity=False).hexdigest()


def test_sighup_reloads_certificates(tmp_path: Path) -> None:
    files = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}

    def write() -> None:
        pair = self_signed(["localhost"])
        files["cert"].write_bytes(pair.certificate)
        files["key"].write_bytes(pair.key)

    write()
    options = ("--tls-cert", str(files["cert"]), "--tls-key", str(files["key"]), "--log-level", "info")
    with running(*options) as (process, ready):
        assert fingerprint(ready["port"]) == ready["fingerprint_sha1"]
        write()
        os.kill(process.pid, signal.SIGHUP)
        while (new := fingerprint(ready["port"])) == ready["fingerprint_sha1"]:
            time.sleep(0.02)
        files["cert"].write_text("no certificate")
        os.kill(process.pid, signal.SIGHUP)
        assert process.stderr
        while "not reloaded" not in process.stderr.readline():
            pass
        assert fingerprint(ready["port"]) == new
