"""Limits of the schemas' reader, which keep the tester alive when a target sends millions of values."""

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.registry import Registry
from ergo_conformance.spec import interpreter
from ergo_conformance.spec.ergo import edf
from ergo_conformance.spec.parse import Parsed
from tests.support.work import peak_memory

CONTEXT = edf.EdfContext(Registry())


def nils(count: int) -> bytes:
    """Returns a slice of `count` nils in any slots."""
    return bytes.fromhex("8200029d849d") + count.to_bytes(4, "big") + b"\xff" * count


def test_a_value_with_more_parts_than_the_limit_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MAX_PARTS", 1000)
    assert isinstance(edf.decode(nils(900), CONTEXT), Parsed)
    refused = edf.decode(nils(1001), CONTEXT)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.LENGTH
    assert str(refused).startswith("length out of range (more than 1,000 parts, the limit of the tester) at [99")


def test_spans_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MAX_SPANS", 2000)
    held = [peak_memory(lambda count=count: edf.decode(nils(count), CONTEXT)) for count in (2000, 12_000)]  # type: ignore[misc]
    parsed = edf.decode(nils(12_000), CONTEXT)
    assert isinstance(parsed, Parsed)
    assert 1990 < len(parsed.found) <= 2000
    assert held[1] - held[0] < 20 * 10_000
