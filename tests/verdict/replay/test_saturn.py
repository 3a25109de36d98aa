"""Replays of captures of Saturn: differences of the reference node's registrar are reported or known deviations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ergo_conformance.cli.vectors import app
from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.spec.ergo import saturn as spec
from ergo_conformance.verdict.captures import load
from ergo_conformance.verdict.captures.saturn import CLIENT, SERVER
from ergo_conformance.verdict.replay import SATURN_DEVIATIONS, replay, replayable_directions
from tests.support.recordings import CAPTURES

FILES = sorted((CAPTURES / "saturn").glob("*.jsonl"))
REPLAYED = [path for path in FILES if replayable_directions(load(path))]
MESSAGES = {
    "application-routes": 4, "application-routes-api": 6, "clusters": 5, "hidden-node": 1, "name-taken": 2, "register": 4,
    "resolve": 5, "second-node": 6, "server-restart": 4, "wrong-token": 1,
}  # fmt: skip
"""Messages as recorded, by capture; in the other captures the client writes none."""


def test_every_capture_with_a_real_client_is_replayable() -> None:
    assert {path.stem for path in FILES} - {path.stem for path in REPLAYED} == {"malformed"}


@pytest.mark.parametrize("path", REPLAYED, ids=lambda path: path.stem)
def test_the_registrar_writes_what_the_real_client_wrote(path: Path) -> None:
    result = replay(load(path), CLIENT)
    assert not result.differences, "\n".join(map(str, result.differences))
    assert result.checked == MESSAGES.get(path.stem, 0)


def test_each_known_deviation_occurs() -> None:
    used = {id_ for path in REPLAYED for id_ in replay(load(path), CLIENT).deviations}
    assert used | {"SAT-RC-2"} == {row.id for row in SATURN_DEVIATIONS}  # SAT-RC-2 has its own test below


# --- changed captures -------------------------------------------------------------------------------------------------


def changed(tmp_path: Path, name: str, kind: type, change: Callable[[Any], Any], direction: str = CLIENT) -> Path:
    """Writes a capture with the first message of a kind changed, or without it if the change returns None."""
    lines = [json.loads(line) for line in (CAPTURES / "saturn" / f"{name}.jsonl").read_text().splitlines()]
    for line in lines[1:]:
        message = read(line) if line["dir"] == direction else None
        if isinstance(message, kind):
            other = change(message)
            line["hex"] = "" if other is None else spec.write_packet(other).hex()
            break
    else:
        raise AssertionError(f"no {kind.__name__}")
    path = tmp_path / "changed.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def read(line: Any) -> Any:
    return getattr(spec.read_packet(bytes.fromhex(line["hex"])), "value", None) if line.get("hex") else None


def routes(message: saturn.Register) -> saturn.Register:
    (route,) = message.RegisterRoutes.Routes
    other = route._replace(ProtoVersion=route.ProtoVersion._replace(Release="R2"))
    return message._replace(RegisterRoutes=message.RegisterRoutes._replace(ApplicationRoutes=None, Routes=[other]))


CHANGES: dict[str, tuple[str, type, Callable[[Any], Any]]] = {
    "digest": ("register", saturn.Handshake, lambda m: m._replace(Digest="0" * 64)),
    "no handshake": ("register", saturn.Handshake, lambda _: None),
    "lists": ("register", saturn.Register, routes),
    "no registration": ("register", saturn.Register, lambda _: None),
    "hidden": ("register", saturn.Register, lambda m: m._replace(Hidden=True, Cluster="")),
    "other unloading": (
        "application-routes", saturn.UnregisterApplicationRoute, lambda m: m._replace(Node=Atom("x@y")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_message_of_the_client_is_reported(tmp_path: Path, what: str) -> None:
    name, kind, change = CHANGES[what]
    path = changed(tmp_path, name, kind, change)
    assert replay(load(path), CLIENT).differences
    ended = CliRunner().invoke(app, ["play", str(path)])
    assert ended.exit_code == 1
    assert "differences" in ended.output


@pytest.mark.parametrize(
    "change",
    [
        ("register", saturn.HandshakeResult, lambda m: m._replace(Digest="0" * 64)),
        ("register", saturn.HandshakeResult, lambda _: None),
        ("register", saturn.RegisterResult, lambda m: m._replace(Error=Error("resource is taken"))),
    ],
    ids=["wrong proof", "no answer", "refused"],
)
def test_a_changed_message_of_the_server_is_reported(tmp_path: Path, change: Any) -> None:
    """The registrar reacts to it, so that it does not write the rest as recorded."""
    name, kind, replace = change
    path = changed(tmp_path, name, kind, replace, SERVER)
    assert replay(load(path), CLIENT).differences


def test_a_socket_that_only_the_reference_node_closes_is_reported(tmp_path: Path) -> None:
    """After all messages, so that only the end of the socket differs."""
    lines = (CAPTURES / "saturn" / "register.jsonl").read_text().splitlines()
    said = [line for line in map(json.loads, lines[1:]) if line.get("hex")]
    garbage = {**said[-1], "t": said[-1]["t"] + 0.001, "dir": SERVER, "hex": "ff" * 8}
    content = [json.loads(lines[0]), *said, garbage]
    path = tmp_path / "garbage.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    (difference,) = replay(load(path), CLIENT).differences
    assert "was closed by the reference node" in str(difference)


AGAIN = "tls#12"
"""The connection of s2@localhost after the restart."""


def test_applications_announced_again_are_a_known_deviation(tmp_path: Path) -> None:
    """Upstream does not announce later ones again (SAT-RC-2): one deviation, only for what was announced before."""
    lines = (CAPTURES / "saturn" / "server-restart.jsonl").read_text().splitlines()
    route = saturn.ApplicationRoute(Atom("s2@localhost"), Atom("late"), 1, 1, 2)
    announced = {
        "t": 0.0001, "proto": "tcp", "dir": CLIENT, "conn": "tls#1",
        "hex": spec.write_packet(saturn.RegisterApplicationRoute(route)).hex(),
    }  # fmt: skip
    last = max(json.loads(line)["t"] for line in lines[1:])
    question = spec.write_packet(saturn.Resolve(1, Atom("x@y"))).hex()
    asked = {**announced, "t": last + 0.1, "conn": AGAIN, "hex": question}
    path = tmp_path / "again.jsonl"
    agreed = []
    for more in ([], [json.dumps(asked)]):
        path.write_text("\n".join([lines[0], json.dumps(announced), *lines[1:], *more]))
        result = replay(load(path), CLIENT)
        assert not result.differences
        assert result.deviations == {"SAT-RC-2": 1}
        agreed.append(result.checked)
    assert agreed[1] == agreed[0] + 1  # the next recorded message is still compared


def test_a_scripted_server_without_events_is_replayed(tmp_path: Path) -> None:
    """The capture has no open and close events: a socket begins with its handshake."""
    lines = [json.loads(line) for line in (CAPTURES / "saturn" / "resolve.jsonl").read_text().splitlines()]
    born = [json.loads(line) for line in (CAPTURES / "saturn" / "register.jsonl").read_text().splitlines()[1:]]
    meta = {**lines[0], "cut": False, "scripted": [SERVER]}
    content = [meta, *(line for line in born if line.get("hex")), *({**line, "t": line["t"] + 1} for line in lines[1:])]
    path = tmp_path / "scripted.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    result = replay(load(path), CLIENT)
    assert not result.differences
    assert result.checked == MESSAGES["register"] + MESSAGES["resolve"]
