"""Properties of the source of the node's generated functions."""

import ast
import os
import subprocess
import sys
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.records import ROWS
from ergo_conformance.model.inferred import INFERRED_TYPES
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice, Type
from ergo_conformance.reference_node.ergo.edf.codec import generated_functions

from .strategies import REGISTRY as MANY

FOLDED: list[Type] = [
    INFERRED_TYPES[list], INFERRED_TYPES[dict], Slice(Slice(Slice(t.STRING))), Array(3, Array(65, t.INT16)), Map(ANY, ANY),
    Map(t.PID, t.ERROR),
    Array(4, Map(t.ATOM, Slice(t.BOOL))), Slice(Reg("#any/Deep[int]")), Slice(Reg("#any/Empty")),
    Map(Array(2, t.UINT8), t.TIME),
]  # fmt: skip
TYPES = [*(Reg(row.name) for row in MANY), *t.SCALARS.values(), *FOLDED]
KINDS = ("reader", "writer", "dynamic_reader", "dynamic_writer")


def source_of(registry: Registry, kind: str, type_: Type) -> str:
    source: str = getattr(generated_functions(registry), kind)(type_).edf_source
    return source


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_is_one_function_that_compiles(kind: str) -> None:
    registry = Registry(MANY)
    for type_ in TYPES:
        source = source_of(registry, kind, type_)
        compile(source, "<test>", "exec")
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)
        assert function.name == ("read" if kind.endswith("reader") else "write")


@pytest.mark.parametrize("kind", ["reader", "dynamic_reader"])
def test_a_reader_only_moves_forward_and_assigns_nothing_inside_a_call(kind: str) -> None:
    registry = Registry(MANY)
    for type_ in TYPES:
        tree = ast.parse(source_of(registry, kind, type_))
        for node in ast.walk(tree):
            if isinstance(node, ast.AugAssign):
                assert isinstance(node.op, ast.Add), ast.unparse(node)
        stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and any(isinstance(a, ast.NamedExpr) for a in ast.walk(node)):
                pytest.fail(f"an assignment inside a call: {ast.unparse(node)}")
        assert stored.isdisjoint({"b", "c"})


@pytest.mark.parametrize("kind", ["writer", "dynamic_writer"])
def test_a_writer_evaluates_each_part_of_the_value_once(kind: str) -> None:
    """An attribute of the value or a call on it that is used twice is assigned to a name first."""
    registry = Registry(MANY)
    for type_ in TYPES:
        tree = ast.parse(source_of(registry, kind, type_))
        for statement in [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef)]:
            if isinstance(statement, ast.If | ast.For):
                continue
            encodes = [
                ast.unparse(n) for n in ast.walk(statement)
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in ("encode", "items")
            ]  # fmt: skip
            assert len(encodes) == len(set(encodes)), ast.unparse(statement)


def test_names_of_types_and_fields_are_not_part_of_the_source() -> None:
    name = '#x/\'+evil()+\'\n"""\\'
    registry = Registry([Struct(name, (("a'); evil()", t.INT), ("b\nevil()", t.ATOM)))])
    for kind in KINDS:
        tree = ast.parse(source_of(registry, kind, Reg(name)))
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert "evil" not in called
        assert all(name not in str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant))


DUMP = """
from ergo_conformance.model.ergo.records import ROWS
from ergo_conformance.model import types as t
from ergo_conformance.model.registry import Registry
from ergo_conformance.reference_node.ergo.edf.codec import generated_functions
functions = generated_functions(Registry(ROWS))
for row in ROWS:
    for kind in ("reader", "writer", "dynamic_reader", "dynamic_writer"):
        print(getattr(functions, kind)(t.Reg(row.name)).edf_source)
for type_ in (t.Slice(t.ANY), t.Map(t.ATOM, t.Map(t.PID, t.ANY)), t.Array(3, t.Slice(t.STRING))):
    print(functions.dynamic_reader(type_).edf_source, functions.dynamic_writer(type_).edf_source)
"""


def test_the_source_is_the_same_in_every_process() -> None:
    def dump(seed: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", DUMP],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    first = dump("1")
    assert first == dump("4711")
    assert first.count("def ") >= 4 * len(ROWS)


def test_functions_are_generated_once_per_registry() -> None:
    registry: Any = Registry(MANY)
    functions = generated_functions(registry)
    assert generated_functions(registry) is functions
    assert functions.reader(Reg("#any/Point")) is functions.reader(Reg("#any/Point"))
    assert generated_functions(Registry(MANY)) is not functions
