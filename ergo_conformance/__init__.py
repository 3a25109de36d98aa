"""Protocol-conformance toolkit for the Ergo Framework's network stack.

This module is the public interface for programs on the reference node; `ergo_conformance.testing` is the one for authors of
suite cases.  All other modules are private: their names may change in any release.

    async with Node("a@localhost", NetworkOptions(cookie="secret")) as node:
        process = node.spawn(main)
        await process.join()

The names are loaded on first use, so that the command line starts without the node.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Loads a public name on first use."""
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    public = import_module("._public", __name__)
    if name == "__all__" or name in public.__all__:
        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(import_module("._public", __name__).__all__)
