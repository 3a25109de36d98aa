"""Replays of changed captures: a change to each kind of frame of the replaced node is reported."""

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
from ergo_conformance.verdict.replay import replay
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
    # the node writes these by itself: every field is compared
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
    # a process causes these, and the frame decides about the action: only the other fields are compared
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


def changed(capture: str, direction: str, kind: type, change: Change) -> Recording:
    """Returns the recording with the last frame of a kind changed in place."""
    found = [row for row in frames_of(capture) if row[2] == direction and type(row[3].value) is kind]
    _, socket, _, frame = found[-1]
    recording = Recording(capture)
    data, at = write_frame(change(frame.value), frame.context), 0
    for line in recording.lines:
        if (line["link"], line["dir"]) != (socket, direction) or not line.get("hex"):
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
def test_a_changed_frame_is_reported(capture: str, direction: str, kind: type, change: Change, tmp_path: Path) -> None:
    result = replay(load(changed(capture, direction, kind, change).save(tmp_path)), direction)
    assert result.differences


def test_an_unchanged_copy_has_no_differences(tmp_path: Path) -> None:
    recording = changed("master/call", "b>a", enp.Response, lambda frame: frame)
    assert not replay(load(recording.save(tmp_path)), "b>a").differences


def test_every_recorded_kind_of_frame_is_changed() -> None:
    recorded = {
        type(row[3].value) for path in CAPTURES.glob("master/*.jsonl") for row in frames_of(f"master/{path.stem}")
    }
    assert {kind for _, _, kind, _ in CASES} == recorded


def test_a_frame_missing_in_the_capture_is_reported(tmp_path: Path) -> None:
    recording = changed("master/call", "b>a", enp.Response, lambda frame: frame)
    *_, last = [line for line in recording.lines if line["dir"] == "b>a" and line.get("hex")]
    recording.lines.remove(last)
    assert "recorded: nothing" in str(replay(load(recording.save(tmp_path)), "b>a").differences[0])


def test_a_socket_missing_in_the_capture_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/handshake_pool3")
    recording.lines = [line for line in recording.lines if line["link"] != 3]
    assert replay(load(recording.save(tmp_path)), "a>b").differences


@pytest.mark.parametrize("role", list(Role))
def test_another_cookie_is_reported(role: Role, tmp_path: Path) -> None:
    recording = Recording("master/handshake")
    side = "a>b" if role is Role.DIALER else "b>a"
    recording.meta["secrets"][side[0]]["cookie"] = "another"
    result = replay(load(recording.save(tmp_path)), side)
    assert any("Hello" in str(difference) for difference in result.differences)


def run(*arguments: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["play", *map(str, arguments)], env={"COLUMNS": "200"})
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.stdout


def test_play_prints_results_and_differences(tmp_path: Path) -> None:
    good = CAPTURES / "master" / "call.jsonl"
    bad = changed("master/call", "b>a", enp.Response, payload).save(tmp_path)
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


def test_play_prints_known_deviations() -> None:
    code_, text = run("-v", CAPTURES / "master" / "app_start.jsonl")
    assert code_ == 0
    assert "known deviations: 1 × ENP-APP-2" in text
    assert "ENP-APP-2: upstream treats mode 0 as temporary" in text


def test_play_without_a_replayable_side_ends_with_5() -> None:
    code_, text = run(CAPTURES / "registrar" / "register.jsonl")
    assert (code_, "nothing to replay" in text) == (5, True)
    assert run()[0] == 5


def test_play_of_another_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"format": "ergo-vectors/1"}))
    ended = CliRunner().invoke(app, ["play", str(path)])
    assert "the first line is not metadata" in str(ended.exception)
