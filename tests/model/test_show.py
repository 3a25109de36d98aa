"""Values as text for people, and the first difference of two values."""

from typing import Any, NamedTuple

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.show import MAX_TEXT, first_difference, look_alike, show
from ergo_conformance.model.text import escape, is_utf_8
from ergo_conformance.model.values import PID, Atom, Error, Typed


class Row(NamedTuple):
    """A struct for tests."""

    name: Any
    items: Any = None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nil"),
        (True, "true"),
        (5, "5"),
        (2.5, "2.5"),
        ("text", '"text"'),
        ('a "b" \\', '"a \\"b\\" \\\\"'),
        (Atom("it's"), "'it\\'s'"),
        (b"\x00\xff", "0x00ff"),
        (Error("taken", registered=True), 'error "taken"'),
        (enp.Priority.NORMAL, "NORMAL"),
        (ehs.Flags.ENABLE | ehs.Flags.REMOTE_SPAWN, "ENABLE|REMOTE_SPAWN"),
        (Typed(t.Slice(t.INT32), [1, 2]), "[]int32([1, 2])"),
        (PID(Atom("a@b"), 7, 1), "PID{node: 'a@b', id: 7, creation: 1}"),
        (Row(("a", 1), {"k": [None]}), 'Row{name: ("a", 1), items: {"k": [nil]}}'),
        ({3, 1}, "{1, 3}"),
        (t.Map(t.STRING, t.INT8), "map[string]int8"),
        (Atom, "Atom"),
        ([], "[]"),
    ],
    ids=repr,
)
def test_a_value_is_shown_in_the_notation_of_its_type(value: Any, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\x1b[31m\x00", '"a\\nb\\x1b[31m\\x00"'),
        ("\udcff\ud800", '"\\udcff\\ud800"'),
        ("\u202eabc", '"\\u202eabc"'),
        ("caf\xe9 😀", '"caf\xe9 😀"'),
        ("cafe\u0301", '"cafe\\u0301"'),
    ],
    ids=ascii,
)
def test_a_text_is_shown_without_control_codes_and_without_characters_that_look_like_others(
    text: str, shown: str
) -> None:
    assert show(text) == shown
    assert is_utf_8(shown)


def test_long_values_are_cut_and_say_how_long_they_are() -> None:
    assert show("x" * 100, leaf=50) == f'"{"x" * 50}"… (100 characters)'
    assert show(bytes(100), leaf=50) == f"0x{'00' * 25}… (100 bytes)"
    assert show(["x" * 100, bytes(100)], leaf=4) == '["xxxx"…, 0x0000…]'
    assert show([*range(10)], items=3) == "[0, 1, 2, … and 7 more]"
    assert len(show([["x" * 100] * 100] * 10_000)) == MAX_TEXT + 1


def test_deep_values_are_shown_and_compared_without_recursion() -> None:
    left: Any = 1
    right: Any = 2
    for _ in range(20_000):
        left, right = [left], [right]
    assert show(left).startswith("[[[[")
    found = first_difference(left, right)
    assert found is not None
    assert (found.path[:6], found.expected, found.actual) == ("[0][0]", "1", "2")
    while isinstance(left, list):  # unnested by hand: deallocation would recurse
        left, right = left.pop(), right.pop()


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        (Row([1, {"k": "x"}]), Row([1, {"k": "y"}]), 'name[1]["k"]: expected "x", received "y"'),
        (Row("a"), Row("a", [1]), "items: expected nil, received [1]"),
        ([1, 2], [1, 2, 3], "[2]: expected nothing, received 3"),
        ({"a": 1}, {}, '["a"]: expected 1, received nothing'),
        (1, True, "expected 1, received true"),
        ("a", Atom("a"), "expected \"a\", received 'a'"),
        (Typed(t.INT8, 1), Typed(t.INT16, 1), "expected int8(1), received int16(1)"),
        (Typed(t.INT8, 1), Typed(t.INT8, 2), "int8: expected 1, received 2"),
        (
            Row(1),
            PID(Atom("a"), 1, 1),
            "expected Row{name: 1, items: nil}, received PID{node: 'a', id: 1, creation: 1}",
        ),
        ("caf\xe9", "cafe\u0301", 'expected "caf\\xe9", received "cafe\\u0301"'),
        (
            "a" * 100 + "b" + "c" * 50,
            "a" * 100 + "c" * 51,
            'character 100: expected …"' + "a" * 12 + "b" + "c" * 23 + '"… (151 characters), '
            'received …"' + "a" * 12 + "c" * 24 + '"… (151 characters)',
        ),
        (
            bytes(60) + b"\1",
            bytes(60),
            f"byte 60: expected …0x{'00' * 12}01 (61 bytes), received …0x{'00' * 12} (60 bytes)",
        ),
    ],
    ids=range(12),
)
def test_the_first_difference_has_its_path(expected: Any, actual: Any, difference: str) -> None:
    assert str(first_difference(expected, actual)) == difference


@pytest.mark.parametrize(
    "value", [1, enp.Priority.HIGH, Error("a"), Row([1, (2, 3)], {"k": b"x"}), float("nan"), None], ids=repr
)
def test_equal_values_have_no_difference(value: Any) -> None:
    assert first_difference(value, value) is None


def test_ids_of_errors_and_names_of_enums_are_no_difference() -> None:
    assert first_difference(Error("a", registered=True), Error("a")) is None
    assert first_difference(1, enp.Priority.HIGH) is None


def test_texts_look_alike_if_few_characters_differ_and_one_is_not_ascii() -> None:
    assert look_alike("the name caf\xe9", "the name cafe\u0301")
    assert look_alike("\u0430bc", "abc")
    assert not look_alike("abc", "abd")
    assert not look_alike("caf\xe9", "the target closed the socket")


def test_escape_keeps_what_it_is_told() -> None:
    assert escape("a\tb\nc\x7f", keep="\n") == "a\\tb\nc\\x7f"
