"""The pytest side of the toolkit: cases are pytest tests that declare requirements, this plugin gives them a target.

It does nothing in a session without `--ergo-target`. Coroutine cases (`async def test_…(ergo_context)`) get a `Context`;
golden cases are plain functions that request the fixture `ergo_codec`. Options have the prefix `--ergo-`;
`ergo-conformance run` sets them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import UsageError
from .targets.options import options_of
from .verdict.run.options import SessionOptions

if TYPE_CHECKING:
    from .verdict.run.session import Session

SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option `--ergo-…` for each row of SessionOptions."""
    group = parser.getgroup("ergo", "Ergo protocol conformance")
    for row in options_of(SessionOptions):
        name = "--ergo-" + row.name.replace("_", "-")
        text = row.help + (f" Environment variable: {row.environment}." if row.environment else "")
        if row.type is bool:
            group.addoption(name, action="store_true", help=text)
        elif row.type is list:
            group.addoption(name, metavar=row.metavar or None, action="append", default=[], help=text)
        else:
            default = None if row.name == "target" else row.default  # without a target there is no session
            group.addoption(name, metavar=row.metavar or None, type=row.type, default=default, help=text)


@pytest.hookimpl(trylast=True)  # the terminal reporter we may replace is registered by then
def pytest_configure(config: pytest.Config) -> None:
    """Sets a session up if the options ask for one."""
    if not config.getoption("--ergo-target") and not config.getoption("--ergo-collect"):
        return
    from .verdict.run.session import Session

    try:
        config.stash[SESSION] = session = Session.from_config(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("--ergo-terminal"):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)
    config.pluginmanager.register(SessionPlugin(session), "ergo-session")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """A case in a session without a target has nothing to do."""
    if SESSION not in pyfuncitem.config.stash and inspect.iscoroutinefunction(pyfuncitem.obj):
        from .verdict.run.case import ATTRIBUTE

        if hasattr(pyfuncitem.obj, ATTRIBUTE):
            pytest.skip("no target: run with --ergo-target")


@pytest.fixture
def ergo_context() -> None:
    """The Context of a coroutine case; made where the case runs."""


@pytest.fixture
def ergo_codec(request: pytest.FixtureRequest) -> Any:
    """The target's EDF codec; without one the case is skipped."""
    session = request.config.stash.get(SESSION, None)
    if session is None:
        pytest.skip("no target: run with --ergo-target")
    found = session.codec
    if found is None:
        pytest.skip("needs a target that offers codec")
    return found


class SessionPlugin:
    """The hooks of a session that has a target (or only lists its cases)."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from .verdict.run.session import Entry

        try:
            entries = [entry for item in items if isinstance(item, pytest.Function) and (entry := Entry.of(item))]
            chosen = self.session.select(entries)
        except UsageError as error:
            items[:] = []  # pytest goes on to `collection_finish` all the same
            raise pytest.UsageError(str(error)) from None
        collect = config.getoption("--ergo-collect")
        if collect:
            Path(collect).write_text(json.dumps([entry.as_json() for entry in chosen]), encoding="utf-8")
            items[:] = []
            return
        kept = {entry.item for entry in chosen}
        deselected = [item for item in items if item not in kept]
        items[:] = [entry.item for entry in chosen]
        if deselected:
            config.hook.pytest_deselected(items=deselected)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            try:
                self.session.start()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> object:
        entry = self.session.entries.get(pyfuncitem.nodeid)
        if entry is None:
            return None
        if inspect.iscoroutinefunction(pyfuncitem.obj):
            self.session.judge_coroutine(entry)
            return True
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}  # noqa: SLF001  as pytest does
        error: Exception | None = None
        try:
            pyfuncitem.obj(**arguments)
        except Exception as raised:  # noqa: BLE001  the session judges it
            error = raised
        self.session.judge_error(entry, error)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        entry = self.session.entries.get(item.nodeid)
        if entry is not None:
            self.session.note_report(entry, call.when, report)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.session.note_collection_error(str(report.longrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.session.finish(session, exitstatus)

    def pytest_unconfigure(self) -> None:
        self.session.close()
