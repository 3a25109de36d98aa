"""Invalid options: exit code 2 and one sentence; no case to run: exit code 5 and one sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ergo_conformance.cli.chosen_suites import suites_of
from tests.support.cli import MUTANT_PROCESS, CommandResult, case_options, cli, cli_process

TCP = "tcp://127.0.0.1:1"
CASE = "handshake.digest.whole_handshake"


def one_sentence(ended: CommandResult) -> str:
    """Returns the one line on stderr; stdout must be empty."""
    assert ended.out == ""
    text = ended.err.strip()
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("selff",), "'selff' is not a valid target; did you mean self?"),
        ((TCP,), "--cookie is required"),
        (("tcp://127.0.0.1:port", "--cookie", "c"), "(expected tcp://HOST:PORT)"),
        (
            (TCP, "--cookie", "c", "--over", "tcp"),
            "--over is not supported by tcp:// targets (supported by: self, mutant:)",
        ),
        (("process:x", "--offers", "accpet"), "'accpet' is not a valid offer; did you mean accept?"),
        (("--level", "musst"), "unknown level; did you mean must?"),
        (("--suite", "handshaek"), "unknown suite 'handshaek'; did you mean handshake?"),
        ((TCP, "--", "command"), "two targets"),
        (("--case", CASE[:-1]), f"did you mean {CASE}?"),
        (("--case", "golden.*", "--suite", "handshake"), "golden, is left out by --suite handshake"),
    ],
)
def test_invalid_option_gives_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ended = cli("run", *arguments)
    assert ended.code == 2, ended.text
    assert sentence in one_sentence(ended)


def test_unknown_case_starts_no_target(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    ended = cli("run", "--case", "nonsense", "--", "/bin/sh", "-c", f"touch {mark}; sleep 60")
    assert ended.code == 2
    assert "unknown case 'nonsense'" in one_sentence(ended)
    assert not mark.exists()


@pytest.mark.parametrize("arguments", [("--no-such-option",), ("self", "another")])
def test_unknown_option_prints_the_usage(arguments: tuple[str, ...]) -> None:
    ended = cli("run", *arguments)
    assert ended.code == 2
    assert "Usage: ergo-conformance run" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--suite", "handshake", "-k", "nothing_is_called_so"),
        (*case_options("handshake.time.silent_client_delays_others"), "--level", "must"),
        (*case_options(CASE), "-k", "nothing_is_called_so"),
        (*case_options(CASE), "-k", "silence"),
    ],
)
def test_no_selected_case_ends_with_exit_code_5(arguments: tuple[str, ...]) -> None:
    ended = cli("run", *arguments)
    assert ended.code == 5, ended.text
    assert "nothing was tested" in ended.out


def test_target_without_the_needed_offers_ends_with_exit_code_5(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    ended = cli(
        "run", *case_options(CASE, "golden.edf.reads[bool]"), "--offers", "dial", "--report", f"junit={report}",
        "--", *MUTANT_PROCESS, "none",
    )  # fmt: skip
    assert ended.code == 5, ended.text
    assert "needs a target that offers accept" in ended.out
    assert "needs a target that offers codec" in ended.out
    assert "nothing was tested" in ended.out
    assert report.read_text().count("<skipped ") == 2


def test_pytest_variables_of_the_environment_are_ignored() -> None:
    ended = cli_process(
        "run", *case_options(CASE), env={"PYTEST_ADDOPTS": "--no-such-option", "PYTEST_PLUGINS": "no_such_module"}
    )
    assert ended.code == 0, ended.text


@pytest.mark.parametrize(
    ("cases", "suites"),
    [
        (("handshake.digest.*",), ["handshake"]),
        (("h*.x", "golden.edf.reads[bool]"), ["golden", "handshake"]),
        (("handshake.x", "nonsense"), []),
        (("*.x",), ["golden", "handshake", "node", "proto", "registrar"]),
        ((), []),
    ],
)
def test_only_the_suites_of_the_chosen_cases_are_collected(cases: tuple[str, ...], suites: list[str]) -> None:
    assert suites_of(cases) == suites


@pytest.mark.parametrize("run", [cli, cli_process])
def test_unknown_verb_gives_one_sentence(run: Callable[..., CommandResult]) -> None:
    ended = run("rnu")
    assert ended.code == 2
    assert one_sentence(ended) == "ergo-conformance: unknown command 'rnu'; did you mean run?"
