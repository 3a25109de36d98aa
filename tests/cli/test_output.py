"""Output streams: encodings, widths, text that is not UTF-8, and the modules that a verb imports."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ergo_conformance import cli as command_line
from ergo_conformance.output import replace_characters
from ergo_conformance.verdict.reports.console import make_console
from ergo_conformance.verdict.run.collected_case import title_of
from tests.support.cli import cli, cli_process, environment

HEAVY = (
    *("pytest", "_pytest", "construct", "asyncio", "ssl", "hypothesis"),
    *(f"ergo_conformance.{name}" for name in ("spec", "peers", "reference_node", "verdict", "targets", "mutants")),
)
"""Modules that no verb needs before it runs."""


# --- encodings and widths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_an_encoding_does_not_have_are_replaced(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = io.BytesIO()
    out = io.TextIOWrapper(written, encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "0")
    console = make_console()
    assert console.width >= 40
    console.print("2 × … caf\xe9 😀 \udcff")
    out.flush()
    wanted = {"ascii": "2 x ... caf\\xe9 \\U0001f600 \\udcff", "latin-1": "2 × ... caf\xe9 \\U0001f600 \\udcff"}
    assert written.getvalue().decode(encoding).strip() == wanted.get(encoding, "2 × … caf\xe9 😀 \\udcff")


def test_streams_without_an_encoding_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    replace_characters()
    sys.stdout.write("…\n")
    assert out.getvalue() == "…\n"


@pytest.mark.parametrize("columns", ["0", "1", "-5", "wide", ""])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("run", "--case", "handshake.digest.hello_answered"), 0),
        (("explain", "EHS-DIG-1"), 0),
        (("explain", "\xe9\xe8"), 2),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_an_odd_width_gives_no_traceback(arguments: tuple[str, ...], code: int, columns: str) -> None:
    ended = cli(*arguments, env={"COLUMNS": columns})
    assert ended.code == code
    assert "Traceback" not in ended.text


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--case", "registrar.register.request_in_pieces*")], ids=lambda value: value[0]
)
def test_an_ascii_terminal_gets_ascii(arguments: tuple[str, ...]) -> None:
    ended = cli_process(*arguments, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "COLUMNS": "0"})
    assert ended.code == 0, ended.text
    assert ended.text.isascii()
    assert "Traceback" not in ended.text


# --- text that is not UTF-8, and braces -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("run", "--node", "\udcff@host"), ("explain", "\udcff"), ("\ud800",)])
def test_an_argument_that_is_not_utf_8_is_one_sentence(arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert "is not UTF-8" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Sends {count} frames.", "Sends 3 frames."),
        ("Sends {count:04d} and {count!r}.", "Sends 0003 and 3."),
        ("A {set} of {} and {0}, {count.missing}, {count:%%}.", "A {set} of {} and {0}, {count.missing}, {count:%%}."),
        ("An open { and a closed }.", "An open { and a closed }."),
        ("\udcff", "\\udcff"),
    ],
    ids=range(5),
)
def test_braces_of_a_docstring_that_are_no_parameters_stay(text: str, title: str) -> None:
    assert title_of(text, {"count": 3}) == title


def test_a_failure_with_a_lone_surrogate_reaches_the_report_of_all_workers(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "from ergo_conformance.testing import case\n"
        "@case('EHS-MSG-1')\n"
        "async def test_own(ergo_context):\n"
        "    '''A case {of} braces.'''\n"
        "    raise ValueError('\\udcff')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-p", "ergo_conformance.pytest_plugin", "-p", "xdist", "-n", "1", "-q",
               "-p", "no:cacheprovider", "--ergo-target", "self", str(tmp_path)]  # fmt: skip
    variables = {**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(command, capture_output=True, env=variables, cwd=tmp_path, check=False)
    text = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == 1, text
    assert "INTERNALERROR" not in text
    assert "\\udcff" in text


# --- suites and cases -------------------------------------------------------------------------------------------------


def test_a_case_of_a_suite_that_is_left_out_is_named() -> None:
    ended = cli("run", "--suite", "handshake", "--case", "proto.calls.*")
    assert ended.code == 2
    assert ended.err.strip() == (
        "ergo-conformance: --case proto.calls.*: its suite, proto, is left out by --suite handshake"
    )


# --- imports ----------------------------------------------------------------------------------------------------------


def imported(*arguments: str) -> set[str]:
    """Names of the modules that a call of the command line imports."""
    code = (
        "import sys\nfrom ergo_conformance.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-P", "-c", code, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=os.sep, check=True)
    return set(ended.stderr.split())


def test_help_imports_no_verb_and_nothing_heavy() -> None:
    found = imported("--help")
    assert not found & set(HEAVY)
    assert not [name for name in found if name.startswith("ergo_conformance.cli.")]


def test_list_imports_neither_the_node_nor_the_runner_of_live_targets() -> None:
    found = imported("list", "--suite", "handshake")
    own = (
        "reference_node.node",
        "targets.self_node",
        "mutants",
        "verdict.run.live",
        "verdict.vectors",
        "verdict.replay",
    )
    assert not found & {"hypothesis", "xdist", *(f"ergo_conformance.{name}" for name in own)}


def test_help_has_the_first_line_of_each_verb() -> None:
    for name, (_, summary) in command_line.VERBS.items():
        ended = cli(name, "--help", env={"COLUMNS": "200"})
        assert summary in ended.out, name
