"""The serving verbs on a system whose event loops have no signal handlers, as on Windows: one sentence."""

import asyncio
import signal
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ergo_conformance.cli import node, registrar, signals
from ergo_conformance.errors import UsageError

SETTINGS = {"name": "a@localhost", "port": 0}
VERBS: dict[str, Callable[[], Awaitable[None]]] = {
    "node": lambda: node.serve(SETTINGS, agents=False),
    "esrd": lambda: registrar.serve("localhost", 0),
    "saturn": lambda: registrar.serve_saturn("token", "localhost", 0, (None, None), None),
}


def without_handlers(signum: int, callback: object, *args: object) -> None:
    """Raises, as the event loops of Windows do."""
    raise NotImplementedError


@pytest.mark.real_loop
@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_without_signal_handlers_gives_one_sentence(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", without_handlers)
    with pytest.raises(UsageError, match=r"^this command needs a POSIX system"):
        await VERBS[verb]()


async def test_a_missing_signal_gives_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    with pytest.raises(UsageError, match=r"^this command needs a POSIX system"):
        signals.handle("SIGHUP", list)


def test_the_package_declares_posix_only() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    systems = [row for row in project["classifiers"] if row.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX"]
