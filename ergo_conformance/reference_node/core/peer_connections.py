"""Connections with other nodes, as the core uses them."""

from collections.abc import Awaitable, Callable, Mapping

from ...model.ergo import error_values
from ...model.values import Atom
from ..api import Connection
from ..api.errors import ErgoError


class Peers:
    """The other nodes. `connections`: the open connections by name; `connect`: opens one, or raises ErgoError."""

    def __init__(
        self,
        connections: Mapping[Atom, Connection],
        connect: Callable[[Atom], Awaitable[Connection]],
        drop: Callable[[Connection], None],
    ) -> None:
        self.connections, self._connect, self._drop = connections, connect, drop

    async def connection(self, node: Atom) -> Connection:
        """Returns the connection with a node, dialing it if needed. Raises ErgoError."""
        return self.connections.get(node) or await self._connect(node)

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node; sends nothing. ErgoError "no connection" if there is none."""
        connection = self.connections.get(node)
        if connection is None:
            raise ErgoError(error_values.NO_CONNECTION)
        self._drop(connection)
