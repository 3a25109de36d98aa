"""The scripted dialer: it opens a handshake with a target according to the schemas, with any field overridden."""

from typing import Any

from ...model.ergo import ehs
from ...model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join
from .handshake import HandshakePeer


class Dialer(HandshakePeer):
    """The dialing side of one socket."""

    # --- messages -----------------------------------------------------------------------------------------------------

    def hello(self, **overrides: Any) -> Hello:
        """Our Hello; remembers the salt. `overrides` replace fields."""
        self.salt = salt = overrides.get("Salt", self.salt)
        return Hello(salt, self.digest(Digest.HELLO_DIALER, salt1=salt))._replace(**overrides)

    def introduce_digest(self) -> str:
        salt2 = self.target_hello.Salt if self.target_hello else self.token(ehs.SALT_LENGTH)
        return self.digest(Digest.INTRODUCE, salt2=salt2)

    def join(self, connection_id: str, **overrides: Any) -> Join:
        """A Join of this connection; `overrides` replace fields."""
        salt = overrides.get("Salt", self.salt)
        good = Join(self.name, connection_id, salt, self.digest(Digest.JOIN, id=connection_id, salt=salt))
        return good._replace(**overrides)

    # --- the handshake ------------------------------------------------------------------------------------------------

    async def reach(self, state: HandshakeState) -> None:
        """Does a correct dialer's part until the acceptor is in this state."""
        if state is HandshakeState.AWAIT_HELLO:
            return
        if self.target_hello is None:
            self.send(self.hello())
            await self.expect(Hello)
        if state is HandshakeState.HELLO_ANSWERED:
            return
        if self.target_accept is None:
            self.send(self.introduce())
            await self.expect(Accept)
            await self.expect(Introduce)
        if state is HandshakeState.AWAIT_ACCEPT:
            return
        self.send(Accept())

    async def handshake(self, **overrides: Any) -> Accept:
        """A whole handshake; checks every digest that proves the target. Returns its Accept.

        `overrides` replace fields of our Introduce.
        """
        self.send(self.hello())
        self.check_hello(await self.expect(Hello))
        self.send(self.introduce(**overrides))
        accept = await self.expect(Accept)
        await self.expect(Introduce)
        self.send(Accept())
        return accept

    def check_hello(self, hello: Hello) -> None:
        """The acceptor's Hello proves the cookie, and over TLS the certificate (EHS-DIG-2, EHS-DIG-3)."""
        own = self.digest(Digest.HELLO_DIALER, salt1=self.salt)
        self.check_digest(Digest.HELLO_ACCEPTOR, hello.Digest, salt2=hello.Salt, digest1=own, salt1=self.salt)
        if self.socket.fingerprint is not None:
            self.check_digest(Digest.HELLO_CERT, hello.DigestCert, salt2=hello.Salt, salt1=self.salt, digest1=own)

    def check_joined(self, accept: Accept) -> None:
        """The Accept that answers our Join proves the cookie, and over TLS the certificate (EHS-DIG-7, EHS-DIG-8)."""
        join = self.sent[Join]
        assert isinstance(join, Join)
        inputs = {"join_digest": join.Digest, "join_salt": join.Salt, "id": join.ConnectionID}
        self.check_digest(Digest.JOIN_ACCEPT, accept.Digest, **inputs)
        if self.socket.fingerprint is not None:
            self.check_digest(Digest.JOIN_CERT, accept.DigestCert, **inputs)
