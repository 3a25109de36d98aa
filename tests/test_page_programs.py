"""The programs in the pages about the reference node run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

DOCS = Path(__file__).parent.parent / "docs"
FOREVER, PORT = 'float("inf")', "port=25001"


def programs(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "number", "said"),
    [
        ("reference-node.md", 0, ["b@localhost 3 links", "6"]),
        ("reference-node.md", 1, ["Version(Name='my-node', Release='1.2', Commit='', License='')"]),
        ("reference-node.md", 2, []),
        ("node-api.md", 0, ["b@localhost 3 links"]),
    ],
)
def test_a_program(page: str, number: int, said: list[str]) -> None:
    """One that runs until it is stopped ends at once here, and takes any port."""
    text = programs(page)[number].replace(FOREVER, "0").replace(PORT, "port=0")
    ended = subprocess.run(
        [sys.executable, "-P", "-c", text], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr, ended.stdout.splitlines()) == (0, "", said)


def test_all_are_tried() -> None:
    assert (len(programs("reference-node.md")), len(programs("node-api.md"))) == (3, 1)
