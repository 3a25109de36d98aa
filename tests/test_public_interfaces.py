"""The two public modules: every name exists, and the generated page lists it."""

from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "generated" / "public-api.md"


@pytest.mark.parametrize("name", ["ergo_conformance", "ergo_conformance.testing"])
def test_every_public_name_exists_and_is_on_the_page(name: str) -> None:
    module = import_module(name)
    assert module.__all__ == sorted(set(module.__all__), key=module.__all__.index)
    section = PAGE.read_text("utf-8").split(f"## `{name}`")[1].split("\n## ")[0]
    for each in module.__all__:
        assert getattr(module, each) is not None
        assert f"| `{each}` |" in section


def test_an_unknown_public_name_raises_attribute_error() -> None:
    import ergo_conformance

    with pytest.raises(AttributeError, match="no attribute 'Nodes'"):
        ergo_conformance.Nodes  # noqa: B018
