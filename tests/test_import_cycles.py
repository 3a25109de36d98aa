from pathlib import Path

from tests.support.import_cycles import cycles, package_cycles


def test_the_package_has_no_import_cycle() -> None:
    assert package_cycles(Path(__file__).parents[1]) == []


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
