"""Whole numbers that ERGO_TARGET or a settings file writes with a point are integers; other numbers give one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.cli.node import settings_in, target_of, whole_numbers
from ergo_conformance.errors import UsageError
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.reference_node.registrars.esrd_server import EsrdServer
from ergo_conformance.reference_node.registrars.saturn_client import SaturnOptions
from ergo_conformance.reference_node.registrars.saturn_server import SaturnServer
from ergo_conformance.reference_node.target.config import config_of

WHOLE = {
    "port": 0.0,
    "pool": 3.0,
    "max_message_size": 1e6,
    "registrar_port": 4500.0,
    "registrar": {"kind": "esrd", "port": 4501.0},
    "acceptors": [{"port": 11_000.0, "port_range": 1.2e4, "max_message_size": 7.0, "registrar": {"kind": "esrd", "port": 1.0}}],
    "env": {"RATIO": 2.0},
}  # fmt: skip


def as_toml(value: Any) -> str:
    """Returns a value as TOML, with inline tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


def read(where: str, settings: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Reads settings from the variable or from a file."""
    if where == "variable":
        return target_of(json.dumps(settings), {})
    file = directory / "node.toml"
    file.write_text("".join(f"{key} = {as_toml(value)}\n" for key, value in settings.items()))
    return target_of(None, {}, settings_in(file))


def numbers_in(value: Any) -> list[Any]:
    """Returns all numbers of settings."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [value] if isinstance(value, int | float) else []


places = pytest.mark.parametrize("where", ["variable", "file"])


@places
def test_whole_numbers_are_integers(where: str, tmp_path: Path) -> None:
    target = read(where, WHOLE, tmp_path)
    env = target.pop("env")
    assert {type(number) for number in numbers_in(target)} == {int}
    assert env == {"RATIO": 2.0}
    assert type(env["RATIO"]) is float
    config = config_of(target)
    [acceptor] = config.network.acceptors
    assert (config.network.max_message_size, acceptor.port, acceptor.end) == (1_000_000, 11_000, 12_000)


@places
@pytest.mark.parametrize(
    ("key", "value"),
    [("port", 0.5), ("pool", 2.5), ("max_message_size", 1.5), ("registrar_port", 0.25), ("port", True), ("pool", -1e3)],
)
def test_other_numbers_give_one_sentence(where: str, key: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{key}: ") as caught:
        read(where, {key: value}, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_give_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is not of type 'integer'"):
        target_of(f'{{"port": {text}}}', {})


def test_json_nested_too_deeply_gives_one_sentence() -> None:
    with pytest.raises(UsageError, match="ERGO_TARGET is not JSON"):
        target_of("[" * 100_000, {})


def test_only_whole_numbers_change() -> None:
    assert whole_numbers([1.0, 1.5, "1.0", True, None, {"a": [2.0]}]) == [1, 1.5, "1.0", True, None, {"a": [2]}]


@pytest.mark.parametrize("value", [1.0, 1e6, True, "1"])
def test_options_of_the_api_take_integers_only(value: Any) -> None:
    for make in (
        lambda: AcceptorOptions(port=value),
        lambda: NetworkOptions(max_message_size=value),
        lambda: EhsHandshake(pool_size=value),
        lambda: EsrdRegistrar(port=value),
        lambda: SaturnOptions(token="", port=value),
    ):
        with pytest.raises(UsageError):
            make()


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "a\0b", "\udcff", "x" * 300])
def test_a_host_that_no_address_can_have_gives_one_sentence(host: str) -> None:
    for make in (
        lambda: AcceptorOptions(host=host),
        lambda: EsrdRegistrar(host=host),
        lambda: SaturnOptions(token="", host=host),
        lambda: EsrdServer(host),
        lambda: SaturnServer("token", host=host),
        lambda: config_of({"name": f"a@{host}", "tls": True}),
    ):
        with pytest.raises(UsageError, match="can't be a host: its labels need 1 to 63 characters") as caught:
            make()
        assert "\n" not in str(caught.value)
