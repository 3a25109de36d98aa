"""`ergo-conformance registrar`: a registrar without a node, as a process."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.spec.ergo.esrd import read_packet, write_packet
from ergo_conformance.spec.parse import Parsed
from tests.support.cli import COMMAND, cases_of, cli, environment

REGISTRAR = ("registrar", "esrd", "--port", "0")
HOST = "127.0.0.1"


@contextmanager
def running(*options: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """Runs the registrar; yields the process and the content of its READY line."""
    command = [*COMMAND, *REGISTRAR, *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("READY "), line
        try:
            yield process, json.loads(line.removeprefix("READY "))
        finally:
            process.kill()


def value(data: bytes) -> object:
    parsed = read_packet(data)
    assert isinstance(parsed, Parsed)
    return parsed.value


def test_registrar_serves_until_sigterm() -> None:
    with running() as (process, ready):
        port = ready["registrar_port"]
        assert (ready["host"], ready["offers"], ready["os_pid"]) == ("localhost", ["registrar"], process.pid)
        name = Atom("b@localhost")
        with socket.create_connection((HOST, port)) as lease:
            lease.sendall(write_packet(RegisterRoutes(name, [route(7)])))
            assert value(lease.recv(1024)) == RegisterReply(None)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
                resolver.settimeout(5)
                resolver.connect(("127.0.0.2", port))
                resolver.send(write_packet(ResolveRoutes(name)))
                assert value(resolver.recv(4096)) == ResolveReply([route(7)], None)
            process.send_signal(signal.SIGTERM)
            assert lease.recv(1) == b""
        assert process.wait(30) == 0
        assert process.stdout
        assert process.stderr
        assert process.stdout.read() == process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_registrar_stops_with_exit_code_0(number: signal.Signals) -> None:
    with running("-v") as (process, _):
        process.send_signal(number)
        assert process.wait(5) == 0


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_occupied_port_ends_with_exit_code_2(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as foreign:
        foreign.bind((HOST, 0))
        if kind is socket.SOCK_STREAM:
            foreign.listen()
        port = foreign.getsockname()[1]
        ended = cli("registrar", "esrd", "--port", str(port))
    assert ended.code == 2
    assert ended.out == ""
    assert f"cannot serve on localhost:{port}: Address already in use" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--host", "no such host"), "cannot serve on no such host:0: "),
        (("--host", "x" * 70), f"host {'x' * 70!r} can't be a host: its labels need 1 to 63 characters"),
        (("--port", "-1"), "Invalid value"),
    ],
)
def test_invalid_address_ends_with_exit_code_2(options: tuple[str, ...], complaint: str) -> None:
    ended = cli("registrar", "esrd", "--port", "0", *options)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())
    assert "Unknown error" not in ended.err


def test_registrar_without_a_kind_lists_the_kinds() -> None:
    ended = cli("registrar")
    assert "esrd" in ended.text
    assert cli("registrar", "etcd").code == 2


OF_OTHERS = ("registrar.saturn", "registrar.esrd_client", "registrar.esrd_resolving", "registrar.client_returns")
"""Cases for central registrars, and for nodes."""


def test_registrar_passes_the_registrar_suite(tmp_path: Path) -> None:
    """The registrar is a process target."""
    report = tmp_path / "report.json"
    ended = cli("run", "--suite", "registrar", "--report", f"json={report}", "--", *COMMAND, *REGISTRAR)
    assert ended.code == 0, ended.text
    verdicts = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert len(verdicts) > 100
    assert set(verdicts.values()) <= {"PASS", "INFO", "SKIP"}
    skipped = {id_ for id_, verdict in verdicts.items() if verdict == "SKIP" and not id_.startswith(OF_OTHERS)}
    assert skipped == {"registrar.register.the_servers_own_name", "registrar.resolve.the_server_itself"}
