"""`list` and `explain`, and output that is not a terminal."""

import json
import re
import shutil
import subprocess
import sysconfig
from functools import cache
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.support.cli import case_options, cli, cli_process, environment

ESCAPE = "\x1b"


@cache
def listed() -> list[dict[str, Any]]:
    ended = cli("list", "--json")
    assert ended.code == 0
    rows: list[dict[str, Any]] = json.loads(ended.out)["cases"]
    return rows


def test_list_json_has_unique_cases_in_a_stable_order() -> None:
    ids = [row["id"] for row in listed()]
    assert len(ids) >= 80
    assert len(set(ids)) == len(ids)
    assert json.loads(cli("list", "--json").out)["cases"] == listed()
    for row in listed():
        assert set(row) == {"id", "title", "suite", "requirements", "level", "profiles", "needs"}
        assert row["id"].startswith(row["suite"] + ".")
        assert row["title"]
        assert "{" not in row["title"]
        assert row["needs"]["offers"]


def test_every_listed_case_can_be_selected() -> None:
    sample = [*[row["id"] for row in listed() if row["suite"] == "handshake"][::13], listed()[-1]["id"]]
    ended = cli("run", "-v", *case_options(*sample))
    assert ended.code == 0, ended.text
    assert len(sample) > 10
    for id_ in sample:
        assert ended.out.count(f" {id_}  ") == 1


def test_list_prints_each_id_on_one_line() -> None:
    ended = cli("list", "--suite", "handshake")
    ids = {row["id"] for row in listed() if row["suite"] == "handshake"}
    assert ids <= set(ended.out.split())
    assert ended.out.rstrip().endswith(f"{len(ids)} cases")


def test_list_with_a_level_has_only_cases_of_that_level() -> None:
    ended = cli("list", "--json", "--level", "must")
    assert {row["level"] for row in json.loads(ended.out)["cases"]} == {"MUST"}


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("handshake.order.final_accept_may_hold_anything",), ("EHS-AST-5 MUST", "run   ", "offers accept")),
        (
            ("handshake.digest.salts_are_fresh",),
            ("mutant handshake.same_salt: Sends the same salt in every Hello.",),
        ),
        (
            ("mutant:same_salt",),
            (
                "Sends the same salt in every Hello.",
                "breaks   ROB-EHS-11 MUST",
                "found by handshake.digest.salts_are_fresh",
            ),
        ),
        (("map[string][]gen/Version", "--code"), ("def read(", "def write(")),
        (("gen.Version",), ("gen/Version", "Release              string")),
        (("NetworkFlags",), ("8 bytes or more", "64 IMPORTANT_DELIVERY")),
        (("101",), ("MESSAGE_PID", "from_id u64, priority u8, mid u64, to_id u64, payload value")),
        (("MessagePID",), ("ENP frame 101 (0x65)",)),
        (("0xaa",), ("EDF tag 170 (0xaa), pid", "node atom, id u64, creation i64")),
        (("nil",), ("EDF tag 255 (0xff), nil", "no bytes")),
        (("int32",), ("EDF tag 148", "descriptor")),
        (("AWAIT_HELLO",), ("Hello: answer_hello, then HELLO_ANSWERED",)),
        (("AWAIT_REGISTER",), ("at a Saturn server",)),
        (("HELLO_CERT",), ("EHS-DIG-3", "fingerprint")),
        (("MAILBOX_FULL",), ("code 2 of RESPONSE_ERROR",)),
        (("ehs-dig-1",), ("EHS-DIG-1", "cases")[:1]),
        (("handshake.digest",), ("handshake.digest.hello_answered", "EHS-DIG-2", "--case 'handshake.digest.*'")),
        (("handshake.digest.w*",), ("handshake.digest.whole_handshake",)),
    ],
)
def test_explain_prints_case_mutant_and_generated_code(arguments: tuple[str, ...], lines: tuple[str, ...]) -> None:
    ended = cli("explain", *arguments)
    assert ended.code == 0, ended.text
    for line in lines:
        assert line in ended.out


def test_explain_of_a_requirement_matches_the_snapshot(snapshot: SnapshotAssertion) -> None:
    assert cli("explain", "EHS-DIG-1", env={"COLUMNS": "100"}).out == snapshot


@pytest.mark.parametrize(
    ("id_", "suggested"),
    [
        ("handshake.digest.whole_handshak", "did you mean handshake.digest.whole_handshake?"),
        ("[4294967296]int8", "is not known as a requirement, case, mutant, EDF type, tag, frame or state"),
        ("MESSAGE_PIDD", "did you mean MESSAGE_PID?"),
        ("networkflags", "did you mean NetworkFlags?"),
        ("handshake.digst", "did you mean handshake.digest"),
    ],
)
def test_explain_of_an_unknown_id_ends_with_exit_code_2(id_: str, suggested: str) -> None:
    ended = cli("explain", id_)
    assert ended.code == 2
    assert ended.out == ""
    assert suggested in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_console_script_and_module_give_the_same_output() -> None:
    script = shutil.which("ergo-conformance", path=sysconfig.get_path("scripts"))
    assert script
    asked = ("explain", "map[string][]gen/Version", "--code")
    by_script = subprocess.run([script, *asked], capture_output=True, env=environment(), check=False)
    by_module = cli_process(*asked)
    assert (by_script.returncode, by_script.stdout.decode()) == (by_module.code, by_module.out)


def test_output_to_a_pipe_has_no_escape_codes() -> None:
    ended = cli_process("run", *case_options("handshake.digest.h*", "handshake.framing.byte_behind_the_value"))
    assert ended.code == 0
    assert ESCAPE not in ended.text
    assert "\r" not in ended.out
    assert re.search(r"conforms: \d+ PASS, 1 INFO \(\d+ cases tried, [\d.]+ s\)", ended.out)


def test_no_color_has_priority_over_a_terminal() -> None:
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm"}
    chosen = ("run", "--suite", "handshake", *case_options("handshake.digest.hello_answered"))
    assert f"{ESCAPE}[1;32mconforms" in cli(*chosen, env=terminal).out
    assert f"{ESCAPE}[1mconforms" in cli(*chosen, env={**terminal, "NO_COLOR": "1"}).out


def test_columns_sets_the_width() -> None:
    ended = cli("explain", "EHS-DIG-2", env={"COLUMNS": "50"})
    assert 25 < max(map(len, ended.out.splitlines())) <= 50
