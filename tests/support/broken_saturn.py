"""A central registrar with one fault, as a target of its own: `python broken_saturn.py FAULT`."""

import asyncio
import json
import signal
import sys
from typing import Any
from unittest import mock

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import Message, SessionState
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.ergo import saturn as codec
from ergo_conformance.reference_node.ergo.saturn import (
    NO_ROUTE,
    TAKEN,
    SaturnDirectory,
    SaturnPacketReader,
    SaturnServerSession,
    write,
)
from ergo_conformance.reference_node.registrars.saturn_server import SaturnServer, SaturnServerSocket

prove, register, step, end, resolve = (
    SaturnServerSession.prove,
    SaturnServerSession.register,
    SaturnServerSession._step,
    SaturnServerSession.end,
    SaturnServerSession.resolve,
)
application, close, receive, broadcast = (
    SaturnServerSession.register_application,
    SaturnServerSession._close,
    SaturnServerSession.receive,
    SaturnServerSession._broadcast,
)
TOKEN = "token"


def any_digest(self: SaturnServerSession, message: saturn.Handshake) -> None:
    prove(self, message._replace(Digest=codec.proof(message.Salt, self.directory.token)))


def any_case(self: SaturnServerSession, message: saturn.Handshake) -> None:
    prove(self, message._replace(Digest=message.Digest.lower()))


def proves_the_salt(self: SaturnServerSession, message: saturn.Handshake) -> None:
    """The server's proof is over the salt instead of the client's digest."""
    if codec.is_proof(message.Digest, message.Salt, self.directory.token):
        self.state = SessionState.AWAIT_REGISTER
        self.send(saturn.HandshakeResult(codec.proof(message.Salt, self.directory.token)))
    else:
        self._close("wrong digest")


def excuses_itself(self: SaturnServerSession, why: str) -> None:
    self.send(saturn.RegisterResult(Error=NO_ROUTE))
    close(self, why)


def one_cluster(self: SaturnServerSession, message: saturn.Register) -> None:
    register(self, message._replace(Cluster=""))


def takes_names_over(self: SaturnServerSession, message: saturn.Register) -> None:
    self.directory.clusters.get(message.Cluster, {}).pop(message.Node, None)
    register(self, message)


def other_words(self: SaturnServerSession, message: saturn.Register) -> None:
    if message.Node in self.directory.clusters.get(message.Cluster, {}):
        self.send(saturn.RegisterResult(Error=TAKEN._replace(text="no")))
        self._close("taken")
    else:
        register(self, message)


def tells_nobody(self: SaturnServerSession, message: Message) -> None:
    """Nobody hears of anything."""


def tells_everybody(self: SaturnServerSession, message: Message) -> None:
    """Also those of other clusters."""
    for cluster in self.directory.clusters.values():
        for other in cluster.values():
            if other is not self:
                other.send(message)


def tells_itself(self: SaturnServerSession, message: Message) -> None:
    broadcast(self, message)
    if self.state is SessionState.REGISTERED:
        self.send(message)


def keeps_names(self: SaturnServerSession) -> None:
    """A registration outlives its connection."""
    self.state = SessionState.CLOSED


def any_state(self: SaturnServerSession, message: Message) -> None:
    if saturn.STEPS[self.state].get(type(message)) is not None:
        step(self, message)


def forgets_numbers(self: SaturnServerSession, message: saturn.Resolve) -> None:
    resolve(self, message._replace(ID=1))


def never_resolves(self: SaturnServerSession, message: saturn.Resolve) -> None:
    self.send(saturn.ResolveResult(message.ID, NO_ROUTE, None))


def no_error(self: SaturnServerSession, message: saturn.Resolve) -> None:
    found = self.directory.find(self.cluster, message.Name)
    self.send(saturn.ResolveResult(message.ID, None, found.routes if found else None))


def resolves_all_clusters(self: SaturnDirectory, cluster: str, name: Atom) -> SaturnServerSession | None:
    return next((nodes[name] for nodes in self.clusters.values() if name in nodes), None)


def foreign_applications(self: SaturnServerSession, message: saturn.RegisterApplicationRoute) -> None:
    self._broadcast(message)


def loaded_only(self: SaturnServerSession, message: saturn.RegisterApplicationRoute) -> None:
    if message.Route.State == 1:
        application(self, message)


def first_of_a_chunk(self: SaturnPacketReader, data: bytes) -> Any:
    """The rest of a chunk is lost."""
    size = codec.check_header(data)
    if size is not None and len(data) >= size:
        yield codec.read(data[:size])


def junk_is_nothing(self: SaturnServerSession, data: bytes) -> None:
    self._close = lambda why: None  # type: ignore[method-assign]
    receive(self, data)


def junk_ends_all(self: SaturnServerSession, why: str) -> None:
    for cluster in list(self.directory.clusters.values()):
        for session in list(cluster.values()):
            end(session)
    close(self, why)


def no_deadline(self: SaturnServerSocket) -> None:
    """Who says nothing stays."""


def early_deadline(self: SaturnServerSocket) -> None:
    """Whoever it is."""
    self.close()


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "any_digest": (SaturnServerSession, "prove", any_digest),
    "any_case": (SaturnServerSession, "prove", any_case),
    "proves_the_salt": (SaturnServerSession, "prove", proves_the_salt),
    "excuses_itself": (SaturnServerSession, "_close", excuses_itself),
    "one_cluster": (SaturnServerSession, "register", one_cluster),
    "takes_names_over": (SaturnServerSession, "register", takes_names_over),
    "other_words": (SaturnServerSession, "register", other_words),
    "tells_nobody": (SaturnServerSession, "_broadcast", tells_nobody),
    "tells_everybody": (SaturnServerSession, "_broadcast", tells_everybody),
    "tells_itself": (SaturnServerSession, "_broadcast", tells_itself),
    "keeps_names": (SaturnServerSession, "end", keeps_names),
    "any_state": (SaturnServerSession, "_step", any_state),
    "forgets_numbers": (SaturnServerSession, "resolve", forgets_numbers),
    "never_resolves": (SaturnServerSession, "resolve", never_resolves),
    "no_error": (SaturnServerSession, "resolve", no_error),
    "resolves_all_clusters": (SaturnDirectory, "find", resolves_all_clusters),
    "foreign_applications": (SaturnServerSession, "register_application", foreign_applications),
    "loaded_only": (SaturnServerSession, "register_application", loaded_only),
    "first_of_a_chunk": (SaturnPacketReader, "feed", first_of_a_chunk),
    "junk_is_nothing": (SaturnServerSession, "receive", junk_is_nothing),
    "junk_ends_all": (SaturnServerSession, "_close", junk_ends_all),
    "no_deadline": (SaturnServerSocket, "_late", no_deadline),
    "early_deadline": (SaturnServerSocket, "_late", early_deadline),
    "none": (codec, "write", write),
}


async def serve() -> None:
    """A Saturn, until SIGTERM."""
    server = SaturnServer(TOKEN, host="127.0.0.1", port=0)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ready = {"name": "", "host": "127.0.0.1", "registrar_port": server.port, "token": TOKEN, "offers": ["saturn"]}
    print("READY", json.dumps({**ready, "config": {}}), flush=True)  # noqa: T201  the target's line
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    with mock.patch.object(*FAULTS[sys.argv[1]]):
        asyncio.run(serve())
