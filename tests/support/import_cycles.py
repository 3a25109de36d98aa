"""Import cycles of the package, typing imports and imports inside functions included: `python tests/support/import_cycles.py`.

import-linter checks directions between named packages; this check looks at every pair of modules.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "ergo_conformance"


def modules(root: Path) -> dict[str, Path]:
    """Returns the modules of the package by their dotted names."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yields the modules of the package that a module imports, at any place in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                target = f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base
                if target in known and target != name:
                    yield target


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Returns the groups of modules that import each other, directly or indirectly (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == node:
                    break
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return groups


def package_cycles(root: Path) -> list[list[str]]:
    """Returns the import cycles of the package below `root`."""
    known = modules(root)
    return cycles({name: set(imports(name, path, known)) for name, path in known.items()})


if __name__ == "__main__":
    found = package_cycles(Path(__file__).parents[2])
    for group in found:
        print("import cycle:", ", ".join(group))  # noqa: T201  a program
    sys.exit(1 if found else 0)
