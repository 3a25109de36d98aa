"""How a target is named: `self`, `tcp://HOST:PORT`, `tls://HOST:PORT`, `process:CMD`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from ..errors import UsageError
from .base import OFFERS, Target
from .process import MAX_PORT, ProcessTarget
from .self_node import SelfTarget
from .tcp import TcpTarget

FEW: Final = 12
"""So many words a sentence can list."""
KINDS: Final = ("self", "tcp://", "tls://", "process:")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says about a target."""

    spelled: str = "self"
    command: tuple[str, ...] = ()
    cookie: str | None = None
    node: str | None = None
    tls_ca: str | None = None
    offers: str | None = None
    over: str | None = None
    tls: bool = False
    registrar: str | None = None
    token: str | None = None


def address_of(text: str | None) -> tuple[str, int] | None:
    """HOST:PORT of `--registrar`. UsageError for what is none."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise UsageError(f"--registrar {text}: written HOST:PORT")
    return host.strip("[]"), int(port)


def suggestion(word: str, known: Sequence[str]) -> str:
    """`; did you mean …?`, or what there is."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if len(known) <= FEW else ""


def offers_of(text: str | None) -> frozenset[str] | None:
    """The words of `--offers`. UsageError for one that is none."""
    if text is None:
        return None
    offers = frozenset(word.strip() for word in text.split(",") if word.strip())
    for word in sorted(offers - set(OFFERS)):
        raise UsageError(f"--offers: {word!r} is nothing a target can offer{suggestion(word, OFFERS)}")
    return offers


def target_of(settings: Settings) -> Target:
    """The target. UsageError, one sentence, if it makes no sense."""
    spelled = settings.spelled
    offers = offers_of(settings.offers)
    if settings.over is not None and spelled != "self":
        raise UsageError("--over is for the target self; what runs elsewhere is reached over its own sockets")
    if settings.tls and spelled.startswith(("tcp://", "tls://")):
        raise UsageError("--tls is for targets that we start; a running one is named tls://HOST:PORT")
    if settings.registrar is not None and not spelled.startswith(("tcp://", "tls://")):
        raise UsageError("--registrar is for a node that runs already; others tell it in their READY line")
    if settings.tls_ca is not None and not spelled.startswith("tls://"):
        raise UsageError("--tls-ca is for targets named tls://HOST:PORT")
    if offers is not None and "codec" in offers:
        raise UsageError("--offers codec: only the target self has a codec that can be reached")
    if settings.command or spelled.startswith("process:"):
        command = list(settings.command) or _split(spelled.removeprefix("process:"))
        return ProcessTarget(command, cookie=settings.cookie, node=settings.node, tls=settings.tls, offers=offers)
    if spelled.startswith(("tcp://", "tls://")):
        return TcpTarget(
            spelled,
            cookie=settings.cookie,
            node=settings.node,
            tls_ca=settings.tls_ca,
            offers=offers,
            registrar=address_of(settings.registrar),
            token=settings.token,
        )
    if spelled == "self":
        if offers is not None:
            raise UsageError("--offers is for other targets: the embedded node says itself what it offers")
        return SelfTarget(over=settings.over or "memory", cookie=settings.cookie, node=settings.node, tls=settings.tls)
    raise UsageError(f"{spelled!r} is no target{suggestion(spelled, KINDS)}")


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"process:{command}: {error}") from None
