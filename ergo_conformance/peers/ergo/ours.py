"""Processes of ours that the agent of a target talks to: their addresses, what comes for them, how they answer."""

from typing import Any, Final

from ...model.ergo import enp
from ...model.ergo.enp import ORDER_MODULUS, Priority
from ...model.values import Alias, Atom, Error, Event, ProcessID
from .agents import Acting, Watched
from .connection import Peer
from .lines import Received

OURS: Final = 2001
"""Number of our process."""
NAME: Final = Atom("ours")
WORDS: Final = (OURS, 7, 8)
"""Of its alias."""
TO: Final = {"PID": OURS, "ProcessID": NAME, "Alias": WORDS}
"""What a message or a request for it names."""
MESSAGES: Final = (enp.MessagePID, enp.MessageName, enp.MessageAlias)
REQUESTS: Final = (enp.RequestPID, enp.RequestName, enp.RequestAlias)


def address(peer: Peer, word: str) -> Watched:
    """Our process by PID, name or alias, or an event of it."""
    addresses: dict[str, Watched] = {
        "PID": peer.pid(OURS),
        "ProcessID": ProcessID(peer.name, NAME),
        "Alias": Alias(peer.name, peer.creation, WORDS),
        "Event": Event(peer.name, NAME),
    }
    return addresses[word]


def to_of(frame: Any) -> Any:
    """Whom a message or a request is for."""
    return next(getattr(frame, field) for field in ("to_id", "to_name", "to_alias") if hasattr(frame, field))


async def sent(peer: Peer) -> Received:
    """The next message or request for our process."""
    return await peer.wait_for(
        lambda f: isinstance(f, (*MESSAGES, *REQUESTS)) and to_of(f) in TO.values(), "a message or a request of agent"
    )


async def told(acting: Acting, op: str, word: str, value: Any) -> tuple[enp.Words, Any]:
    """Tells the agent to send to our process, or to call it: the reference of the op, and the frame that comes."""
    ref = acting.tell(op, address(acting.peer, word), value)
    return ref, (await sent(acting.peer)).value


def reply(peer: Peer, frame: Any, payload: Any, **lies: Any) -> None:
    """Answers a request; `lies` replace fields."""
    answer = enp.Response(frame.from_id % ORDER_MODULUS, OURS, Priority.NORMAL, frame.from_id, frame.ref, payload)
    peer.send_frame(answer._replace(**lies))


def fail(peer: Peer, frame: Any, ref: enp.Words, code: int, error: Error | None = None, **lies: Any) -> None:
    """Answers a request, or acknowledges a message, with a code."""
    answer = enp.ResponseError(0, OURS, Priority.NORMAL, frame.from_id, ref, code, error)
    peer.send_frame(answer._replace(**lies))
