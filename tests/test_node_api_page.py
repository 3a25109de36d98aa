"""docs/node-api.md is complete, and each of its rows has a test with the marker `covers`."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from ergo_conformance.reference_node.api import (
    Connection,
    NetworkHandshake,
    NetworkProto,
    Registrar,
    RemoteNode,
    Resolver,
)
from ergo_conformance.reference_node.api.info import AcceptorInfo, NetworkInfo, RemoteNodeInfo
from ergo_conformance.reference_node.api.registrar import RegistrarInfo
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.network.acceptor import NodeAcceptor
from ergo_conformance.reference_node.network.network import NodeNetwork
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "node-api.md").read_text(encoding="utf-8")
COUNTS = {"OPT": 10, "ACC": 10, "CON": 10, "RT": 6, "RN": 9, "PL": 8, "ERR": 3}
"""The statements of the protocol document, by section."""
IDS = {f"NAPI-{section}-{number}" for section, count in COUNTS.items() for number in range(1, count + 1)}
SPANS = re.findall(r"`([^`\n]+)`", PAGE)
WORDS = set(re.findall(r"\w+", " ".join(SPANS)))


def public(cls: type) -> set[str]:
    """What a class offers: methods and properties."""
    return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}


def row_keys() -> list[str]:
    """Names of the rows: the id if no other row has it, else id (if any), heading and begin of the first cell with a text."""
    rows: list[tuple[str, list[str]]] = []
    heading = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and not re.match(r"\| (id|framework) \|", line):
            rows.append((heading, [cell.strip().replace("`", "") for cell in line.split("|")[1:-1]]))
    keys = []
    for heading, cells in rows:
        prefix = cells[:1] if cells[0] in IDS else []
        first = next(cell for cell in cells[len(prefix) :] if cell)
        unique = prefix and sum(other[0] == cells[0] for _, other in rows) == 1
        keys.append(cells[0] if unique else ": ".join([*prefix, heading, re.split(r", |[;:(=]", first)[0]]))
    return keys


def covered(source: str) -> Iterator[str]:
    """Returns the arguments of the markers `covers` of a module's test functions."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.covers":
                    yield from (ast.literal_eval(argument) for argument in mark.args)


def test_every_statement_has_a_row() -> None:
    """All statements of the document, and no other."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| NAPI-")]
    assert {row.split("|")[1].strip() for row in rows} == IDS
    assert set(re.findall(r"NAPI-[A-Z]+-\d+", PAGE)) == IDS


def test_every_row_is_covered_by_a_test() -> None:
    keys = row_keys()
    assert len(keys) == len(set(keys)) > len(IDS)
    sources = [path.read_text(encoding="utf-8") for path in (HERE / "reference_node").rglob("test_*.py")]
    marked = {key for source in sources for key in covered(source)}
    assert sorted(set(keys) - marked) == []
    assert sorted(marked - set(keys)) == []


@pytest.mark.parametrize(
    "cls", [NodeNetwork, RemoteNode, Connection, NodeAcceptor, NetworkHandshake, NetworkProto, Registrar, Resolver]
)
def test_every_method_is_named(cls: type) -> None:
    assert public(cls) - WORDS == set()


@pytest.mark.parametrize(
    "cls",
    [NetworkOptions, AcceptorOptions, NetworkRoute, NetworkInfo, AcceptorInfo, RegistrarInfo, RemoteNodeInfo],
)
def test_every_field_is_named(cls: type) -> None:
    assert {field.name for field in fields(cls)} - WORDS == set()


def test_what_may_be_set_on_a_network_is_named() -> None:
    """Attributes of its instances."""
    assert {"cookie", "flags", "max_message_size", "mode"} - WORDS == set()
