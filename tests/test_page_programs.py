"""The Python programs on the pages run, and print what their comments say.

Each block ```python is a program, or a file of cases for pytest; a part of a program is marked ```python fragment.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (f"{page.relative_to(ROOT)}:{text[: block.start()].count(chr(10)) + 1}", block[1].strip(), block[2])
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
    for text in [page.read_text(encoding="utf-8")]
    for block in re.finditer(r"^```python(.*)\n((?s:.*?))^```$", text, re.MULTILINE)
]
PROGRAMS = [pytest.param(text, id=place) for place, mark, text in BLOCKS if not mark]
FRAGMENTS = [pytest.param(mark, text, id=place) for place, mark, text in BLOCKS if mark]
ENDLESS, PORT = 'float("inf")', "port=25001"
MY_NODE = f"""#!{sys.executable}
import socket, sys
host, port = sys.argv[sys.argv.index("--listen") + 1].split(":")
socket.create_server((host, int(port))).accept()
"""
"""The node of the wrapper in test-your-node.md: ends after its first connection."""
TARGET = {"name": "target@localhost", "cookie": "secret", "host": "127.0.0.1", "port": 0, "pool": 3}


@pytest.mark.parametrize("text", PROGRAMS)
def test_program_runs_and_prints_its_comments(text: str, tmp_path: Path) -> None:
    """In a fresh interpreter and a temporary directory; a program without an end stops at once, and uses any port."""
    (tmp_path / "my-node").write_text(MY_NODE, encoding="utf-8")
    (tmp_path / "my-node").chmod(0o755)
    file = tmp_path / "test_page.py"
    file.write_text(text.replace(ENDLESS, "0").replace(PORT, "port=0"), encoding="utf-8")
    has_cases = "def test_" in text
    command = ["-m", "pytest", "--ergo-target", "self", "-q", "-p", "no:cacheprovider"] if has_cases else ["-P"]
    ended = subprocess.run(
        [sys.executable, *command, str(file)],
        env={**environment({"ERGO_TARGET": json.dumps(TARGET)}), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    expected = re.findall(r"^ *print\(.*\)  # (.+)$", text, re.MULTILINE)
    assert not expected or ended.stdout.splitlines() == expected


@pytest.mark.parametrize(("mark", "text"), FRAGMENTS)
def test_fragment_is_marked_and_has_no_imports(mark: str, text: str) -> None:
    """A block with imports is a program, and is not marked."""
    assert mark == "fragment"
    assert not any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(text).body)


def test_pages_have_programs() -> None:
    """Without programs the pattern of the blocks would be wrong."""
    assert len(PROGRAMS) > 7
