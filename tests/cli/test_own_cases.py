"""Own cases of other projects: pytest's outcomes and exits in a case, fixtures, and other plugins."""

from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.verdict.run.distribution import ControllerSession
from ergo_conformance.verdict.run.options import SessionOptions
from tests.cli.test_plugin import project, run_in_this_process, run_pytest
from tests.support.cli import cases_of

__all__ = ["project"]

HEAD = """
import asyncio
import sys

import pytest

from ergo_conformance.testing import case

"""
ENDINGS = {
    "skip": ("pytest.skip('not today')", "SKIP", "not today"),
    "fail": ("pytest.fail('no good')", "FAIL", "no good"),
    "importorskip": ("pytest.importorskip('no_such_module')", "SKIP", "could not import 'no_such_module'"),
    "sys_exit": ("sys.exit(3)", "ERROR", "SystemExit"),
    "pytest_exit": ("pytest.exit('enough')", "ERROR", "enough"),
    "interrupt": ("raise KeyboardInterrupt", "ERROR", "KeyboardInterrupt"),
    "generator_exit": ("raise GeneratorExit", "ERROR", "GeneratorExit"),
    "cancelled": ("raise asyncio.CancelledError", "ERROR", "CancelledError"),
    "exit_in_a_task": ("await asyncio.create_task(leave())", "ERROR", "SystemExit"),
    "good": ("await ergo_context.connected()", "PASS", ""),
}
"""The last statement of a coroutine case, its verdict, and a part of the reason."""


def coroutine_case(name: str, statement: str, arguments: str = "ergo_context") -> str:
    return f'@case("EHS-DIG-1")\nasync def test_{name}({arguments}):\n    """A case."""\n    {statement}\n\n\n'


def verdicts(project: Path, *options: str) -> dict[str, Any]:
    """Runs the cases of a project; returns the rows of the report by the name of the case."""
    report = project / "report.json"
    code, out = run_in_this_process(project, "--ergo-target", "self", "--ergo-report", f"json={report}", *options)
    assert "INTERNALERROR" not in out, out
    assert report.exists(), (code, out)
    return {id_.rpartition("own.")[2]: row for id_, row in cases_of(report).items()}


@pytest.mark.parametrize("over", ["memory", "tcp"])
def test_an_exit_or_outcome_of_pytest_ends_that_case_alone(project: Path, over: str) -> None:
    leave = "async def leave():\n    sys.exit(4)\n\n\n"
    bodies = "".join(coroutine_case(name, statement) for name, (statement, _, _) in ENDINGS.items())
    (project / "test_own.py").write_text(HEAD + leave + bodies)
    rows = verdicts(project, "--ergo-over", over)
    assert {name: row["verdict"] for name, row in rows.items()} == {name: v for name, (_, v, _) in ENDINGS.items()}
    for name, (_, _, reason) in ENDINGS.items():
        assert reason in rows[name]["reason"] + rows[name]["received"], rows[name]


def test_an_exit_or_outcome_of_pytest_ends_that_golden_case_alone(project: Path) -> None:
    endings = {name: ENDINGS[name] for name in ("skip", "fail", "importorskip", "sys_exit", "pytest_exit", "interrupt")}
    endings["good"] = ("pass", "PASS", "")
    declared = '@case("EDF-TOP-1", offers=("codec",))\n'
    bodies = [
        f'{declared}def test_{name}(ergo_codec):\n    """A case."""\n    {end}\n\n'
        for name, (end, _, _) in endings.items()
    ]
    (project / "test_own.py").write_text(HEAD + "\n".join(bodies))
    rows = verdicts(project)
    assert {name: row["verdict"] for name, row in rows.items()} == {name: v for name, (_, v, _) in endings.items()}


def test_a_failed_teardown_of_a_fixture_is_an_error_of_its_case(project: Path) -> None:
    fixture = "@pytest.fixture(autouse=True)\ndef broken():\n    yield\n    raise RuntimeError('left over')\n\n\n"
    (project / "test_own.py").write_text(HEAD + fixture + coroutine_case("good", "await ergo_context.connected()"))
    rows = verdicts(project)
    assert rows["good"]["verdict"] == "ERROR"
    assert "left over" in rows["good"]["reason"]


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["memory", "tcp"])
def test_a_case_gets_the_fixtures_that_it_asks_for(project: Path, over: str) -> None:
    asks = coroutine_case("asks", "assert tmp_path.is_dir() and number == 7", "ergo_context, tmp_path, number")
    number = "@pytest.fixture\ndef number():\n    return 7\n\n\n"
    indirect = '@pytest.mark.parametrize("number", ["1"], indirect=True)\n' + asks.replace("asks", "indirect")
    (project / "test_own.py").write_text(HEAD + number + asks + indirect)
    rows = verdicts(project, "--ergo-over", over)
    assert {name: row["verdict"] for name, row in rows.items()} == {"asks": "PASS", "indirect[1]": "PASS"}


def test_an_autouse_fixture_with_parameters_runs_the_case_for_each(project: Path) -> None:
    fixture = "@pytest.fixture(autouse=True, params=['x', 'y'])\ndef mode(request):\n    return request.param\n\n\n"
    (project / "test_own.py").write_text(HEAD + fixture + coroutine_case("good", "await ergo_context.connected()"))
    rows = verdicts(project)
    assert {name: row["verdict"] for name, row in rows.items()} == {"good[x]": "PASS", "good[y]": "PASS"}


# --- other plugins, as they act on items ------------------------------------------------------------------------------

LIKE_PYTEST_REPEAT = """
import pytest

@pytest.fixture
def __pytest_repeat_step_number(request):
    return request.param

@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("__pytest_repeat_step_number")
    metafunc.parametrize("__pytest_repeat_step_number", range(3), indirect=True, ids=lambda i: f"{i + 1}-3")
"""
LIKE_PYTEST_ASYNCIO = """
import asyncio
import functools
import pytest

class Coroutine(pytest.Function):
    def runtest(self):
        function = self.obj
        @functools.wraps(function)
        def synchronous(*args, **named):
            return asyncio.run(function(*args, **named))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self, "obj", synchronous)
            super().runtest()

@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector, name, obj):
    found = yield
    if not asyncio.iscoroutinefunction(obj):
        return found
    return [Coroutine.from_parent(item.parent, name=item.name, callobj=item.obj) for item in found]
"""


def test_a_plugin_that_repeats_each_test_runs_each_case_so_often(project: Path) -> None:
    (project / "conftest.py").write_text(LIKE_PYTEST_REPEAT)
    (project / "test_own.py").write_text(HEAD + coroutine_case("good", "await ergo_context.connected()"))
    rows = verdicts(project)
    assert {name: row["verdict"] for name, row in rows.items()} == {f"good[{i}-3]": "PASS" for i in (1, 2, 3)}


def test_cases_run_beside_a_plugin_that_runs_coroutines_itself(project: Path) -> None:
    (project / "conftest.py").write_text(LIKE_PYTEST_ASYNCIO)
    (project / "test_own.py").write_text(HEAD + coroutine_case("good", "await ergo_context.connected()"))
    assert {name: row["verdict"] for name, row in verdicts(project).items()} == {"good": "PASS"}
    code, out = run_in_this_process(project, "-rs")
    assert (code, "no target: run with --ergo-target" in out) == (0, True), out


# --- pytest-xdist and --collect-only ----------------------------------------------------------------------------------


def test_workers_of_xdist_give_one_report(project: Path) -> None:
    pytest.importorskip("xdist")
    bodies = [coroutine_case(f"number_{i}", "await ergo_context.connected()") for i in range(4)]
    wrong = coroutine_case("wrong", "pytest.fail('no good')")
    (project / "test_own.py").write_text(HEAD + "".join(bodies) + wrong)
    report = project / "report.json"
    code, out = run_pytest(project, "--ergo-target", "self", "-n", "2", "--ergo-report", f"json={report}")
    assert code == 1, out
    assert {id_.rpartition("own.")[2]: row["verdict"] for id_, row in cases_of(report).items()} == {
        **{f"number_{i}": "PASS" for i in range(4)},
        "wrong": "FAIL",
    }


def test_a_run_with_xdist_refuses_a_running_target() -> None:
    with pytest.raises(UsageError) as raised:
        ControllerSession.from_options(SessionOptions(target="tcp://127.0.0.1:9", cookie="secret"))
    assert str(raised.value) == "pytest -n: several processes can't test the running target tcp://127.0.0.1:9 at once"


def test_collect_only_starts_no_target(project: Path) -> None:
    (project / "test_own.py").write_text(HEAD + coroutine_case("good", "await ergo_context.connected()"))
    started = project / "started"
    target = f"process:touch {started}"
    code, out = run_in_this_process(project, "--collect-only", "-q", "--ergo-target", target)
    assert (code, started.exists()) == (0, False), out
    assert "test_own.py::test_good" in out
