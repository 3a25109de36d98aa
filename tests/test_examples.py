"""The programs in examples/ do what their texts say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

EXAMPLES = Path(__file__).parents[1] / "examples"
SAID = {
    "ping_pong.py": ["pong: a@localhost says 'ping 3'", "ping: the answer is 'pong 3'", "over 3 links"],
    "remote_spawn.py": [
        "worker: started by a@localhost with ('some', 'arguments')",
        "boss: 7 squared is 49",
        "boss: the worker has ended: 'seven' is no number",
    ],
    "custom_registrar.py": [
        "the file has ['a@127.0.0.1', 'b@127.0.0.1']",
        "connected with b@127.0.0.1",
        "in the end {}",
    ],
}


def test_each_is_tried_and_listed() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == SAID.keys()
    page = (EXAMPLES / "README.md").read_text()
    assert all(f"({name})" in page for name in programs)


@pytest.mark.parametrize("name", SAID)
def test_an_example(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", str(EXAMPLES / name)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    at = 0
    for text in SAID[name]:
        at = ended.stdout.index(text, at)
