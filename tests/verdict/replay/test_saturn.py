"""Recorded Saturn clients: our node registers in their place; what it does otherwise is found or has a row of its own."""

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
from ergo_conformance.verdict.replay import SATURN_EXCUSES, play, roles
from tests.support.recordings import CAPTURES

FILES = sorted((CAPTURES / "saturn").glob("*.jsonl"))
PLAYED = [path for path in FILES if roles(load(path))]
MESSAGES = {
    "application-routes": 4, "application-routes-api": 6, "clusters": 5, "hidden-node": 1, "name-taken": 2, "register": 4,
    "resolve": 5, "second-node": 6, "server-restart": 4, "wrong-token": 1,
}  # fmt: skip
"""How many of the real client's are met exactly; in the other files it only listens."""


def test_every_file_with_a_real_client_is_played() -> None:
    assert {path.stem for path in FILES} - {path.stem for path in PLAYED} == {"malformed"}


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_our_node_does_what_the_real_one_did(path: Path) -> None:
    played = play(load(path), CLIENT)
    assert not played.differences, "\n".join(map(str, played.differences))
    assert played.checked == MESSAGES.get(path.stem, 0)


def test_each_excuse_is_a_statement_and_needed() -> None:
    used = {id_ for path in PLAYED for id_ in play(load(path), CLIENT).excused}
    assert used | {"SAT-RC-2"} == {excuse.id for excuse in SATURN_EXCUSES}  # that one has a test below


# --- damage -----------------------------------------------------------------------------------------------------------


def damaged(tmp_path: Path, name: str, kind: type, change: Callable[[Any], Any], direction: str = CLIENT) -> Path:
    """The same recording with the first message of a kind changed, or without it where the change gives None."""
    lines = [json.loads(line) for line in (CAPTURES / "saturn" / f"{name}.jsonl").read_text().splitlines()]
    for line in lines[1:]:
        message = read(line) if line["dir"] == direction else None
        if isinstance(message, kind):
            changed = change(message)
            line["hex"] = "" if changed is None else spec.write_packet(changed).hex()
            break
    else:
        raise AssertionError(f"no {kind.__name__}")
    path = tmp_path / "damaged.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def read(line: Any) -> Any:
    return getattr(spec.read_packet(bytes.fromhex(line["hex"])), "value", None) if line.get("hex") else None


def routes(message: saturn.Register) -> saturn.Register:
    (route,) = message.RegisterRoutes.Routes
    other = route._replace(ProtoVersion=route.ProtoVersion._replace(Release="R2"))
    return message._replace(RegisterRoutes=message.RegisterRoutes._replace(ApplicationRoutes=None, Routes=[other]))


DAMAGE: dict[str, tuple[str, type, Callable[[Any], Any]]] = {
    "digest": ("register", saturn.Handshake, lambda m: m._replace(Digest="0" * 64)),
    "no handshake": ("register", saturn.Handshake, lambda _: None),
    "lists": ("register", saturn.Register, routes),
    "no registration": ("register", saturn.Register, lambda _: None),
    "hidden": ("register", saturn.Register, lambda m: m._replace(Hidden=True, Cluster="")),
    "other unloading": (
        "application-routes", saturn.UnregisterApplicationRoute, lambda m: m._replace(Node=Atom("x@y")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found(tmp_path: Path, what: str) -> None:
    name, kind, change = DAMAGE[what]
    path = damaged(tmp_path, name, kind, change)
    assert play(load(path), CLIENT).differences
    ended = CliRunner().invoke(app, ["play", str(path)])
    assert ended.exit_code == 1
    assert "differences" in ended.output


@pytest.mark.parametrize(
    "damage",
    [
        ("register", saturn.HandshakeResult, lambda m: m._replace(Digest="0" * 64)),
        ("register", saturn.HandshakeResult, lambda _: None),
        ("register", saturn.RegisterResult, lambda m: m._replace(Error=Error("resource is taken"))),
    ],
    ids=["wrong proof", "mute", "refused"],
)
def test_a_server_that_says_something_else_is_answered_otherwise(tmp_path: Path, damage: Any) -> None:
    """The rest of the recording does not follow from it: our client does not go on as if nothing was."""
    name, kind, change = damage
    path = damaged(tmp_path, name, kind, change, SERVER)
    assert play(load(path), CLIENT).differences


def test_a_connection_that_only_ours_closes_is_found(tmp_path: Path) -> None:
    """Behind all messages: nothing but the end of the connection differs."""
    lines = (CAPTURES / "saturn" / "register.jsonl").read_text().splitlines()
    said = [line for line in map(json.loads, lines[1:]) if line.get("hex")]
    garbage = {**said[-1], "t": said[-1]["t"] + 0.001, "dir": SERVER, "hex": "ff" * 8}
    content = [json.loads(lines[0]), *said, garbage]
    path = tmp_path / "garbage.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    (difference,) = play(load(path), CLIENT).differences
    assert "was closed by our node" in str(difference)


AGAIN = "tls#12"
"""The connection of s2@localhost after the restart."""


def test_who_registers_again_announces_its_applications(tmp_path: Path) -> None:
    """Upstream forgets those of later (SAT-RC-2): one row, and only for what was announced before."""
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
        played = play(load(path), CLIENT)
        assert not played.differences
        assert played.excused == {"SAT-RC-2": 1}
        agreed.append(played.checked)
    assert agreed[1] == agreed[0] + 1  # what the real one wrote next is still held against what ours does


def test_a_scripted_server_without_opening_and_closing(tmp_path: Path) -> None:
    """As in recordings with a server of somebody else's: a connection begins with its handshake."""
    lines = [json.loads(line) for line in (CAPTURES / "saturn" / "resolve.jsonl").read_text().splitlines()]
    born = [json.loads(line) for line in (CAPTURES / "saturn" / "register.jsonl").read_text().splitlines()[1:]]
    meta = {**lines[0], "cut": False, "scripted": [SERVER]}
    content = [meta, *(line for line in born if line.get("hex")), *({**line, "t": line["t"] + 1} for line in lines[1:])]
    path = tmp_path / "scripted.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    played = play(load(path), CLIENT)
    assert not played.differences
    assert played.checked == MESSAGES["register"] + MESSAGES["resolve"]
