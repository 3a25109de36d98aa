"""Every program in examples/ runs and prints the output that its text shows."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

EXAMPLES = Path(__file__).parents[1] / "examples"
OUTPUT = {
    "ping_pong.py": ["pong 1", "pong 2", "pong 3"],
    "remote_spawn.py": ["7 squared is 49", "the worker has ended:", "'seven' is not a number", "no reply:"],
    "custom_registrar.py": [
        "registered: ['a@127.0.0.1', 'b@127.0.0.1']",
        "connected with b@127.0.0.1",
        "afterwards: {}",
    ],
}


def test_every_example_is_run_and_listed() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == OUTPUT.keys()
    page = (EXAMPLES / "README.md").read_text()
    assert all(f"({name})" in page for name in programs)


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_prints_what_it_shows(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", str(EXAMPLES / name)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    at = 0
    for text in OUTPUT[name]:
        at = ended.stdout.index(text, at)
