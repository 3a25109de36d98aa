"""Each kind of frame, damaged in the recording of the node whose place ours takes: the difference is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ergo_conformance.cli.vectors import app
from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.spec.ergo.enp import write_frame
from ergo_conformance.verdict.captures import load
from ergo_conformance.verdict.replay import play
from tests.support.recordings import CAPTURES, Recording, frames_of

OTHER = Error("another reason")
Change = Callable[[Any], Any]


def order(frame: Any) -> Any:
    return frame._replace(order=frame.order ^ 1)


def priority(frame: Any) -> Any:
    return frame._replace(priority=frame.priority ^ 1)


def payload(frame: Any) -> Any:
    return frame._replace(payload="another value")


def reason(frame: Any) -> Any:
    return frame._replace(reason=OTHER)


def name(frame: Any) -> Any:
    return frame._replace(name=Atom("another"))


def reader(frame: Any) -> Any:
    return frame._replace(to_id=frame.to_id + 1)


def code(frame: Any) -> Any:
    return frame._replace(code=enp.Code.MAILBOX_FULL, error=None)


def error(frame: Any) -> Any:
    return frame._replace(message=frame.message._replace(Error=error_values.TIMEOUT))


def result(frame: Any) -> Any:
    return frame._replace(message=frame.message._replace(Result=17))


def stream(frame: Any) -> Any:
    return frame._replace(order=frame.order ^ 1)


CASES: list[tuple[str, str, type, Change]] = [
    # what a node does by itself: everything in it has to be right
    ("master/handshake_reverse", "a>b", enp.MessagePID, payload),
    ("master/send", "b>a", enp.MessagePID, reader),
    ("master/send", "b>a", enp.MessagePID, priority),
    ("master/handshake_reverse", "b>a", enp.MessageName, payload),
    ("master/handshake_reverse", "b>a", enp.MessageNameCache, payload),
    ("master/handshake_reverse", "b>a", enp.RequestName, payload),
    ("master/call", "b>a", enp.Response, payload),
    ("master/call", "b>a", enp.Response, order),
    ("master/call", "b>a", enp.Response, reader),
    ("master/call", "b>a", enp.ResponseError, code),
    ("master/send_important", "b>a", enp.ResponseError, priority),
    ("master/events", "b>a", enp.EventFrame, payload),
    ("master/events", "b>a", enp.EventFrame, name),
    ("master/events", "b>a", enp.EventCacheFrame, payload),
    ("master/exit", "b>a", enp.TerminatePID, reason),
    ("master/terminate", "b>a", enp.TerminateName, reason),
    ("master/terminate", "b>a", enp.TerminateAlias, reason),
    ("master/terminate", "b>a", enp.TerminateEvent, name),
    ("master/events", "b>a", enp.TerminateEventCache, reason),
    ("master/links", "b>a", enp.Control, error),
    ("master/spawn", "b>a", enp.Control, result),
    ("master/app_start", "b>a", enp.Control, error),
    ("master/compression", "b>a", enp.Compressed, stream),
    # what a process does of its own will is told by the frame itself; the rest of it is the node's
    ("master/send", "a>b", enp.MessagePID, order),
    ("master/send", "a>b", enp.MessageName, order),
    ("master/send", "a>b", enp.MessageNameCache, order),
    ("master/send", "a>b", enp.MessageAlias, order),
    ("master/call", "a>b", enp.RequestPID, order),
    ("master/call", "a>b", enp.RequestName, order),
    ("master/call", "a>b", enp.RequestNameCache, order),
    ("master/call", "a>b", enp.RequestAlias, order),
    ("master/exit", "a>b", enp.Exit, order),
    ("master/exit", "a>b", enp.Exit, priority),
    ("master/links", "a>b", enp.Control, order),
    ("master/compression", "a>b", enp.Compressed, stream),
]


def damaged(capture: str, direction: str, kind: type, change: Change) -> Recording:
    """The recording with the last frame of a kind changed, where it stands."""
    found = [row for row in frames_of(capture) if row[2] == direction and type(row[3].value) is kind]
    _, link, _, frame = found[-1]
    recording = Recording(capture)
    data, at = write_frame(change(frame.value), frame.context), 0
    for line in recording.lines:
        if (line["link"], line["dir"]) != (link, direction) or not line.get("hex"):
            continue
        chunk = bytes.fromhex(line["hex"])
        start, end = max(frame.start - at, 0), max(frame.end - at, 0)
        if start < len(chunk) and end > 0:
            line["hex"] = (chunk[:start] + data + chunk[end:]).hex()
            data = b""
        at += len(chunk)
    recording.lines = [line for line in recording.lines if line.get("hex") or line.get("event")]
    return recording


@pytest.mark.parametrize(
    ("capture", "direction", "kind", "change"), CASES, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_damage_is_found(capture: str, direction: str, kind: type, change: Change, tmp_path: Path) -> None:
    played = play(load(damaged(capture, direction, kind, change).save(tmp_path)), direction)
    assert played.differences


def test_undamaged_the_copy_is_good(tmp_path: Path) -> None:
    recording = damaged("master/call", "b>a", enp.Response, lambda frame: frame)
    assert not play(load(recording.save(tmp_path)), "b>a").differences


def test_every_kind_that_was_recorded_is_damaged() -> None:
    recorded = {
        type(row[3].value) for path in CAPTURES.glob("master/*.jsonl") for row in frames_of(f"master/{path.stem}")
    }
    assert {kind for _, _, kind, _ in CASES} == recorded


def test_a_frame_left_out_is_found(tmp_path: Path) -> None:
    recording = damaged("master/call", "b>a", enp.Response, lambda frame: frame)
    *_, last = [line for line in recording.lines if line["dir"] == "b>a" and line.get("hex")]
    recording.lines.remove(last)
    assert "recorded: nothing" in str(play(load(recording.save(tmp_path)), "b>a").differences[0])


def test_a_link_that_was_not_recorded_is_found(tmp_path: Path) -> None:
    recording = Recording("master/handshake_pool3")
    recording.lines = [line for line in recording.lines if line["link"] != 3]
    assert play(load(recording.save(tmp_path)), "a>b").differences


@pytest.mark.parametrize("role", list(Role))
def test_another_handshake_is_found(role: Role, tmp_path: Path) -> None:
    recording = Recording("master/handshake")
    side = "a>b" if role is Role.DIALER else "b>a"
    recording.meta["secrets"][side[0]]["cookie"] = "another"
    played = play(load(recording.save(tmp_path)), side)
    assert any("Hello" in str(difference) for difference in played.differences)


def run(*arguments: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["play", *map(str, arguments)], env={"COLUMNS": "200"})
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.stdout


def test_the_command(tmp_path: Path) -> None:
    good = CAPTURES / "master" / "call.jsonl"
    bad = damaged("master/call", "b>a", enp.Response, payload).save(tmp_path)
    code_, text = run(good)
    assert code_ == 0
    assert text.splitlines() == [
        f"{good} as a: good; 3 handshake messages, 28 frames as recorded",
        f"{good} as b: good; 3 handshake messages, 26 frames as recorded",
        "1 files, 60 messages and frames as recorded, 0 differences",
    ]
    code_, text = run(good, bad, "--as", "b")
    assert code_ == 1
    assert "as b: 1 differences" in text
    assert "another value" in text
    assert " as a" not in text


def test_the_command_names_its_excuses() -> None:
    code_, text = run("-v", CAPTURES / "master" / "app_start.jsonl")
    assert code_ == 0
    assert "excused: 1 × ENP-APP-2" in text
    assert "ENP-APP-2: upstream takes mode 0 for temporary" in text


def test_nothing_played_is_no_success() -> None:
    code_, text = run(CAPTURES / "registrar" / "register.jsonl")
    assert (code_, "nothing to play" in text) == (5, True)
    assert run()[0] == 5


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"format": "ergo-vectors/1"}))
    ended = CliRunner().invoke(app, ["play", str(path)])
    assert "the first line is not metadata" in str(ended.exception)
