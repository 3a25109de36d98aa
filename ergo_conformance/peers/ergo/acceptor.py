"""The scripted acceptor: it answers a dialing target according to the schemas, with any field overridden."""

import random
from typing import Any

from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join
from ..listener import Listener
from ..scripted_peer import REPLY_TIMEOUT
from ..sockets import PeerSocket
from .handshake import HandshakePeer, TargetInfo


class Acceptor(HandshakePeer):
    """The accepting side of one socket that the target has opened.

    `pool_size`: the number of sockets that the target is asked for; `addresses`: those to which it dials the others.
    """

    def __init__(
        self,
        socket: PeerSocket,
        target_info: TargetInfo,
        rng: random.Random,
        name: str | None = None,
        *,
        creation: int | None = None,
        pool_size: int = 1,
        addresses: list[str] | None = None,
    ) -> None:
        super().__init__(socket, target_info, rng, name, creation=creation)
        self.pool_size, self.addresses = pool_size, addresses
        self.connection_id = self.token(ehs.CONNECTION_ID_LENGTH)

    @classmethod
    async def accept(
        cls,
        listener: Listener,
        target_info: TargetInfo,
        rng: random.Random,
        name: str | None = None,
        within: float = REPLY_TIMEOUT,
        **settings: Any,
    ) -> "Acceptor":
        """The acceptor of the next socket at a listener, on which the target's Hello proves the cookie."""
        acceptor = cls(await listener.socket(within), target_info, rng, name, **settings)
        await acceptor.expect_hello(within)
        return acceptor

    # --- messages -----------------------------------------------------------------------------------------------------

    def hello(self, **overrides: Any) -> Hello:
        """Our answer to the target's Hello; remembers the salt. `overrides` replace fields."""
        assert self.target_hello is not None
        self.salt = salt = overrides.get("Salt", self.salt)
        proof = self.digest(Digest.HELLO_ACCEPTOR, salt2=salt, digest1=self.target_hello.Digest)
        certificate = self._certificate(Digest.HELLO_CERT, salt2=salt, salt1=self.target_hello.Salt)
        return Hello(salt, proof, certificate)._replace(**overrides)

    def accept_connection(self, **overrides: Any) -> Accept:
        """Our answer to the target's Introduce; `overrides` replace fields."""
        return Accept(self.connection_id, self.pool_size, self.addresses)._replace(**overrides)

    def introduce_digest(self) -> str:
        return ""

    def accept_join(self, **overrides: Any) -> Accept:
        """Our answer to the target's Join; `overrides` replace fields."""
        assert self.target_join is not None
        inputs = {"join_digest": self.target_join.Digest, "join_salt": self.target_join.Salt}
        proof, certificate = self.digest(Digest.JOIN_ACCEPT, **inputs), self._certificate(Digest.JOIN_CERT, **inputs)
        return Accept(Digest=proof, DigestCert=certificate)._replace(**overrides)

    def _certificate(self, rule: Digest, **inputs: str) -> str:
        """The digest that proves our certificate; empty without TLS."""
        return "" if self.socket.fingerprint is None else self.digest(rule, **inputs)

    # --- messages of the target -----------------------------------------------------------------------------------------

    async def expect_hello(self, within: float = REPLY_TIMEOUT) -> Hello:
        """The target's Hello, which has to prove the cookie (EHS-DIG-1)."""
        hello = await self.expect(Hello, within)
        self.check_digest(Digest.HELLO_DIALER, hello.Digest, salt1=hello.Salt)
        return hello

    async def expect_introduce(self, within: float = REPLY_TIMEOUT) -> Introduce:
        """The target's Introduce, which has to prove the cookie with our salt (EHS-DIG-4)."""
        introduce = await self.expect(Introduce, within)
        self.check_digest(
            Digest.INTRODUCE,
            introduce.Digest,
            salt2=self.salt,
            salt1=self.target_hello.Salt if self.target_hello else "",
        )
        return introduce

    async def expect_join(self, within: float = REPLY_TIMEOUT) -> Join:
        """The target's Join, which has to prove the cookie (EHS-DIG-6)."""
        join = await self.expect(Join, within)
        self.check_digest(Digest.JOIN, join.Digest, id=join.ConnectionID, salt=join.Salt)
        return join

    # --- the handshake ------------------------------------------------------------------------------------------------

    async def reach(self, state: HandshakeState) -> None:
        """Does a correct acceptor's part until the dialing target is in this state: HELLO_SENT to DONE."""
        if self.target_hello is None:
            await self.expect_hello()
        if state is HandshakeState.HELLO_SENT:
            return
        if self.target_introduce is None:
            self.send(self.hello())
            await self.expect_introduce()
        if state is HandshakeState.INTRODUCED:
            return
        if Accept not in self.sent:
            self.send(self.accept_connection())
        if state is HandshakeState.ACCEPTED:
            return
        self.send(self.introduce())
        await self.expect(Accept)

    async def handshake(self, **overrides: Any) -> Introduce:
        """A whole handshake; checks every digest of the target. Returns its Introduce.

        `overrides` replace fields of our Introduce.
        """
        if self.target_hello is None:
            await self.expect_hello()
        self.send(self.hello())
        introduce = await self.expect_introduce()
        self.send(self.accept_connection())
        self.send(self.introduce(**overrides))
        await self.expect(Accept)
        return introduce

    async def admit(self, **overrides: Any) -> Join:
        """Takes one more socket of a connection: a Join and our answer; `overrides` replace fields of that."""
        join = self.target_join or await self.expect_join()
        self.send(self.accept_join(**overrides))
        return join
