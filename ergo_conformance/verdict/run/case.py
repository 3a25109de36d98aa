"""Declaration of a case: the requirements that it tests, and the offers and settings that it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
ATTRIBUTE: Final = "__ergo_case__"
AGENTS: Final = ("accept", "agents")
"""Value of `offers` for cases that use the agents of a target."""


@dataclass(frozen=True, slots=True)
class Case:
    """Declaration of a case; see the decorator `case`."""

    requirements: tuple[str, ...]
    offers: frozenset[str] = frozenset({"accept"})
    agents: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    hostile: bool = False
    exclusive: bool = False
    dangerous: bool = False

    @property
    def registers(self) -> bool:
        """True if the case starts the target itself, with a registrar of the tester (`RegistrationContext`)."""
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
    """Decorator that declares a test function as a case.

    The docstring of the function is the title of the case; `{name}` in it stands for the value of a parameter, or for its
    attribute `label` if it has one.

    `requirements`: ids that the case tests, at least one; the strictest level among them is the level of the case.
    `offers`: what the target must offer (accept, codec, …), otherwise the case is skipped.
    `agents`: names of the agents of level 2 that the target must host; those of level 1 belong to the offer `agents`.
    `config`: settings (keys of ERGO_TARGET) that must be in force. A target that does not support them skips the case. With
    the key `registrar`, whose value has only a `kind`, the case starts the target and gets a `RegistrationContext`.
    `hostile`: after the case a correct peer must complete a handshake (ROB-EHS-3).
    `exclusive`: the case needs an agent for itself; no other case runs concurrently.
    `dangerous`: the case has killed real nodes; it runs alone, after all others.
    """

    def declare(function: F) -> F:
        declared = Case(
            requirements, frozenset(offers), frozenset(agents), dict(config or {}), hostile, exclusive, dangerous
        )
        setattr(function, ATTRIBUTE, declared)
        return function

    return declare
