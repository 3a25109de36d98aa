"""docs/node-api.md is complete, and the tests that it names exist."""

import ast
import inspect
import re
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
WORDS = set(re.findall(r"\w+", " ".join(span for span in SPANS if "::" not in span)))
NAMED = sorted({span for span in SPANS if "::" in span})


def public(cls: type) -> set[str]:
    """What a class offers: methods and properties."""
    return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}


def test_every_statement_has_a_row() -> None:
    """No more and no less, and each in a row that names a test."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| NAPI-")]
    assert {row.split("|")[1].strip() for row in rows} == IDS
    assert set(re.findall(r"NAPI-[A-Z]+-\d+", PAGE)) == IDS


def test_every_row_names_a_test() -> None:
    """The last cell of each row of each table."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not re.match(r"\| (id|framework) \|", line)]
    assert len(rows) > len(IDS)
    assert [row for row in rows if "::" not in row.rstrip("| ").rpartition("|")[2]] == []


@pytest.mark.parametrize("named", NAMED)
def test_the_tests_exist(named: str) -> None:
    file, _, function = named.partition("::")
    tree = ast.parse(next((HERE / "reference_node").rglob(file)).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


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
