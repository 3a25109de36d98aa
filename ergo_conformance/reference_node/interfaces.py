"""The seams of a node: what can be replaced by something of one's own."""

from collections.abc import Sequence
from typing import Protocol

from ..errors import ErgoConformanceError
from ..model.esrd import Route
from ..model.terms import Atom


class RegistrarError(ErgoConformanceError):
    """A registrar refused, or did not answer; the text is the framework's."""


class Registrar(Protocol):
    """Who knows where nodes are."""

    port: int
    """Where it is; what was chosen, once `start` is through, if any would do."""

    @property
    def serving(self) -> bool:
        """Whether our node is the registrar of its host."""

    async def start(self, routes: Sequence[Route]) -> None:
        """Registers our node with these routes. Raises RegistrarError."""

    async def resolve(self, name: Atom) -> list[Route]:
        """Where a node listens, best first. Raises RegistrarError."""

    async def stop(self) -> None:
        """Gives the name back."""
