"""Class names of the package: one class has a name, so that a name in a message or on a page has one meaning."""

import ast
from collections import defaultdict
from pathlib import Path

import ergo_conformance

PACKAGE = Path(ergo_conformance.__file__).parent


def test_no_two_classes_have_the_same_name() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert len(places) > 500
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
