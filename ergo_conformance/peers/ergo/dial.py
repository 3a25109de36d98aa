"""A dial of the target: its agent was told to connect to us, and waits until the handshake has succeeded or failed."""

import random
from dataclasses import dataclass
from typing import Any

from ...model.ergo import error_values
from ...model.ergo.ehs import HandshakeState
from ...model.ergo.enp import Words
from ...model.values import Atom
from ..listener import Listener
from ..scripted_peer import REPLY_TIMEOUT
from .acceptor import Acceptor
from .agents import AgentDriver
from .connection import Peer
from .handshake import TargetInfo


@dataclass(frozen=True, slots=True)
class Dial:
    """A dial in progress.

    `name`: the node that the target dials; `listener`: where it arrives; `agent` and `ref`: the operation that waits for it.
    """

    name: Atom
    listener: Listener
    agent: AgentDriver
    ref: Words
    target_info: TargetInfo
    rng: random.Random

    async def acceptor(
        self, state: HandshakeState = HandshakeState.HELLO_SENT, within: float = REPLY_TIMEOUT, **settings: Any
    ) -> Acceptor:
        """Our end of the next socket, with a correct handshake done until the dialing target is in `state`."""
        acceptor = Acceptor(await self.listener.socket(within), self.target_info, self.rng, self.name, **settings)
        await acceptor.reach(state)
        return acceptor

    async def joined(self, first: Acceptor, within: float = REPLY_TIMEOUT) -> Acceptor:
        """Our end of the next socket, on which the target joins the connection of `first` correctly; not answered yet."""
        acceptor = Acceptor(await self.listener.socket(within), self.target_info, self.rng, self.name)
        join = await acceptor.expect_join(within)
        found, wanted = (join.Node, join.ConnectionID), (self.target_info.name, first.connection_id)
        acceptor.check(found == wanted, f"Node and ConnectionID {found}", f"{wanted} (EHS-JOIN-2)")
        return acceptor

    async def peer(self, **settings: Any) -> tuple[Acceptor, Peer]:
        """Completes the handshake of the first socket. Returns it, and the connection with the target."""
        acceptor = await self.acceptor(**settings)
        return acceptor, Peer([acceptor], await acceptor.handshake())

    async def connected(self) -> None:
        """The operation ends without an error."""
        await self.agent.expect_true(self.ref)

    async def failed(self) -> None:
        """The operation ends with "no route"."""
        await self.agent.expect_error(self.ref, error_values.NO_ROUTE)

    async def refused(self, acceptor: Acceptor, within: float = REPLY_TIMEOUT, **limits: Any) -> None:
        """The target closes the socket, without a byte unless `limits` allow some, and the operation fails."""
        await acceptor.expect_close(within, **limits)
        await self.failed()
