"""Writes docs/generated from tables, schemas, requirements, mutants and docstrings. `tests/test_docs.py` checks the result."""

import inspect
import re
import runpy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ergo_conformance.spec.export.markdown import PAGES as SCHEMA_PAGES
from ergo_conformance.verdict.matrix.page import mutants_page

FOLDER = Path(__file__).parent / "generated"
SURFACES = {
    "ergo_conformance": "Programs on the reference node: [node-api.md](../node-api.md) has examples and each option.",
    "ergo_conformance.testing": "Cases of one's own; [write-a-case.md](../write-a-case.md) has a complete example.",
}


def public_api() -> str:
    """Returns the page of the public interfaces: each name with the first sentence of its docstring."""
    lines = [
        "# Public interfaces",
        "",
        "Made by `python docs/generate.py`. These two modules are public; all others are private and may change.",
    ]
    for name, text in SURFACES.items():
        lines += ["", f"## `{name}`", "", text, "", "| name | kind | |", "|---|---|---|"]
        lines += _rows(import_module(name))
    return "\n".join(lines) + "\n"


def _rows(module: Any) -> Iterator[str]:
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        if inspect.isclass(value) and not hasattr(value, "__origin__"):
            kind, text = "interface" if getattr(value, "_is_protocol", False) else "class", inspect.getdoc(value) or ""
        elif inspect.isroutine(value):
            kind, text = "function", inspect.getdoc(value) or ""
        else:
            kind, text = "value", ""
        first = re.split(r"(?<=[.])\s", " ".join(text.split()) + " ", maxsplit=1)[0].replace("|", "\\|")
        yield f"| `{name}` | {kind} | {first} |"


def coverage() -> str:
    """Returns the page of the coverage of requirements."""
    page: str = runpy.run_path(str(Path(__file__).parent / "coverage.py"))["page"]()
    return page


PAGES = {
    **SCHEMA_PAGES,
    "public-api.md": public_api,
    "mutants.md": mutants_page,
    "coverage.md": coverage,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page_name, page in PAGES.items():
        (FOLDER / page_name).write_text(page(), encoding="utf-8")
        print(FOLDER / page_name)
