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
from .locate import COOKIE_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from .verdict.run.session import Session

SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run."""
    group = parser.getgroup("ergo", "Ergo protocol conformance")
    add = group.addoption
    add("--ergo-target", metavar="TARGET", help="what to test: self, tcp://HOST:PORT, tls://HOST:PORT, process:CMD")
    add("--ergo-cookie", metavar="C", help=f"the cookie of the node under test; also {COOKIE_VARIABLE}")
    add("--ergo-node", metavar="NAME@HOST", help="the name of the node under test")
    add("--ergo-tls", action="store_true", help="start the target with TLS")
    add("--ergo-tls-ca", metavar="FILE", help="verify the target's certificate against this CA")
    add("--ergo-offers", metavar="LIST", help="what the target offers: accept, agents, registrar, saturn")
    add("--ergo-registrar", metavar="HOST:PORT", help="where the registrar of a running target listens")
    add("--ergo-token", metavar="TOKEN", help=f"that registrar is a Saturn, and this its token; also {TOKEN_VARIABLE}")
    add("--ergo-over", metavar="memory|tcp", help="how the embedded node is reached")
    add("--ergo-profile", metavar="PROFILE", default="ergo-3.1", help="the release whose requirements hold")
    add("--ergo-level", metavar="LEVEL", default="", help="only cases of this level or stricter: must, should, may")
    add(
        "--ergo-case",
        metavar="ID",
        action="append",
        default=[],
        help="only this case (may be repeated; * and ? allowed)",
    )
    add("--ergo-seed", metavar="N", type=int, default=0, help="seed of all salts, names and ids")
    add("--ergo-jobs", metavar="N", type=int, default=16, help="live cases at the same time")
    add("--ergo-timeout", metavar="S", type=float, default=30.0, help="seconds that one live case may take")
    add("--ergo-report", metavar="KIND=FILE", action="append", default=[], help="write a report: junit, json")
    add("--ergo-terminal", action="store_true", help="print verdicts in place of pytest's own lines")
    add("--ergo-collect", metavar="FILE", help="write the collected cases as JSON and run nothing")
    add("--ergo-rerun", metavar="COMMAND", default="", help="how to run again, for reports")


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
