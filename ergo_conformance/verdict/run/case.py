"""What a case says about itself: the requirements it shows and what it needs of a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
ATTRIBUTE: Final = "__ergo_case__"
AGENTS: Final = ("accept", "agents")
"""What cases need that talk to the agents of a target (`offers`)."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case's declaration.

    `requirements`: ids it shows; the strictest level among them is the case's level.
    `offers`: what the target has to offer (accept, codec, …).
    `agents`: names of agents it has to host; those of level 1 belong to the offer `agents`.
    `config`: settings (keys of ERGO_TARGET) the target must have; a target that can't be given them skips the case.
    With `registrar` among them, a `kind` alone, the case starts the target: it gets a `RegistrationContext`.
    `hostile`: afterwards a good peer must still be served.
    `exclusive`: needs an agent for itself; nothing else runs beside it.
    `dangerous`: has killed real nodes; runs alone, after all others.
    """

    requirements: tuple[str, ...]
    offers: frozenset[str] = frozenset({"accept"})
    agents: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    hostile: bool = False
    exclusive: bool = False
    dangerous: bool = False

    @property
    def registers(self) -> bool:
        """Whether the target has to register with a registrar of ours: then the case starts it (`RegistrationContext`)."""
        return "registrar" in self.config


def case(
    *requirements: str,
    offers: tuple[str, ...] = ("accept",),
    agents: tuple[str, ...] = (),
    config: Mapping[str, Any] | None = None,
    hostile: bool = False,
    exclusive: bool = False,
    dangerous: bool = False,
) -> Callable[[F], F]:
    """Declares a test function as a case. Its docstring is the case's title; `{name}` in it stands for a parameter's
    value, or for its `label` if it has one.
    """

    def declare(function: F) -> F:
        declared = Case(
            requirements, frozenset(offers), frozenset(agents), dict(config or {}), hostile, exclusive, dangerous
        )
        setattr(function, ATTRIBUTE, declared)
        return function

    return declare
