"""pytest plugin: runs tests that are declared as cases against a target.

Without `--ergo-target` it runs no case: coroutine cases are skipped. With it, coroutine cases
(`async def test_…(ergo_context)`) get a `Context`; golden cases are plain functions that request the fixture `ergo_codec`.
Options have the prefix `--ergo-`; `ergo-conformance run` sets them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from .errors import UsageError
from .model.text import escape, is_utf_8
from .targets.options import options_of
from .verdict.run.options import SessionOptions

if TYPE_CHECKING:
    from .verdict.run.session import Session

SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option `--ergo-…` for each row of SessionOptions."""
    group = parser.getgroup("ergo", "Ergo protocol conformance")
    for row in options_of(SessionOptions):
        name, metavar = row.pytest_flag, row.metavar or None
        text = row.help + (f" Environment variable: {row.environment}." if row.environment else "")
        if row.type is bool:
            group.addoption(name, action="store_true", help=text)
        elif row.type is list:
            group.addoption(name, metavar=metavar, action="append", default=[], help=text)
        else:
            default = None if row.name == "target" else row.default  # without a target there is no session
            group.addoption(name, metavar=metavar, type=row.type, default=default, help=text)


@pytest.hookimpl(trylast=True)  # after the registration of the terminal reporter, which may be replaced
def pytest_configure(config: pytest.Config) -> None:
    """Starts a session if there is a target."""
    if not config.getoption("--ergo-target"):
        return
    from .verdict.run.distribution import plugin_of, session_class

    try:
        config.stash[SESSION] = session = session_class(config).from_config(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("--ergo-terminal"):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)
    config.pluginmanager.register(plugin_of(session) or SessionPlugin(session), "ergo-session")


@pytest.fixture
def ergo_context(request: pytest.FixtureRequest) -> None:
    """Context of a coroutine case; the runner of the case makes it. Without a target the case is skipped."""
    if SESSION not in request.config.stash:
        pytest.skip("no target: run with --ergo-target")


@pytest.fixture
def ergo_codec(request: pytest.FixtureRequest) -> Any:
    """EDF codec of the target; a case is skipped if it has none."""
    session = request.config.stash.get(SESSION, None)
    if session is None:
        pytest.skip("no target: run with --ergo-target")
    found = session.codec
    if found is None:
        pytest.skip("needs a target that offers codec")
    return found


class SessionPlugin:
    """Hooks of a session with a target."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from .verdict.run.collected_case import CollectedCase

        try:
            functions = [item for item in items if isinstance(item, pytest.Function)]
            selected = self.session.select([case for item in functions if (case := CollectedCase.of(item))])
        except UsageError as error:
            items[:] = []  # pytest calls `collection_finish` nevertheless
            raise pytest.UsageError(str(error)) from None
        kept = {case.item for case in selected}
        deselected = [item for item in items if item not in kept]
        items[:] = [case.item for case in selected]
        if deselected:
            config.hook.pytest_deselected(items=deselected)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items and not session.config.option.collectonly:
            try:
                self.session.start()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> object:
        from .verdict.run.case_function import call
        from .verdict.run.execution import CaseResult

        case = self.session.cases.get(pyfuncitem.nodeid)
        if case is None:
            return None
        if case.is_coroutine:
            self.session.judge_coroutine(case)
            return True
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}  # noqa: SLF001  as pytest does
        self.session.judge(case, CaseResult(call(case.function, arguments)))
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.longrepr is not None and not is_utf_8(str(report.longrepr)):
            report.longrepr = escape(str(report.longrepr), keep="\n\t")  # xdist sends reports as UTF-8
        case = self.session.cases.get(item.nodeid)
        if case is not None:
            self.session.note_report(case, call.when, report)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.session.note_collection_error(str(report.longrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.session.finish(session, exitstatus)

    def pytest_unconfigure(self) -> None:
        self.session.close()
