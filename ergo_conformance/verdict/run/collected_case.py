"""A collected case: a pytest function with its declaration, its id and its title."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from ...errors import UsageError
from ...model.ergo.records import PROFILES
from ...model.text import escape
from ...spec.requirements import RequirementLevel, catalogue, strictest
from .case import ATTRIBUTE, Case
from .case_function import call_coroutine, fixtures_of, parameters_of
from .context import Context
from .execution import PlannedCase

_FIELD: Final = re.compile(r"\{(\w+)[^{}]*\}")
"""A replacement field of a docstring."""


def title_of(text: str, labels: Mapping[str, Any]) -> str:
    """Returns a docstring with the values of parameters in place of `{name}`; other braces stay as they are."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in labels:
            return match[0]
        try:
            return match[0].format_map(labels)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return match[0]

    return escape(_FIELD.sub(value, text))


@dataclass(slots=True)
class CollectedCase:
    """A case that pytest has collected."""

    item: pytest.Function
    id: str
    """Suite, file, function and parameters: `handshake.digest.hello_answered`."""
    suite: str
    title: str
    case: Case
    level: RequirementLevel
    collected_function: Callable[..., Any] | None = None
    """The function as collected: plugins replace that of the item while it runs (pytest-asyncio in auto mode)."""

    @classmethod
    def of(cls, item: pytest.Function) -> CollectedCase | None:
        """The case of a pytest function; None if it has no declaration. UsageError for unknown requirements or none."""
        case: Case | None = getattr(item.function, ATTRIBUTE, None)
        if case is None:
            return None
        suite, area, name = item.path.parent.name, item.path.stem.removeprefix("test_"), item.name.removeprefix("test_")
        params = item.callspec.params if hasattr(item, "callspec") else {}
        of_params = [id_ for value in params.values() for id_ in getattr(value, "requirements", ())]
        case = replace(case, requirements=tuple(dict.fromkeys((*case.requirements, *of_params))))
        unknown = [id_ for id_ in case.requirements if id_ not in catalogue()]
        if unknown or not case.requirements:
            raise UsageError(f"{item.nodeid} cites {', '.join(unknown) or 'no requirement'}")
        title = " ".join((inspect.getdoc(item.function) or "").split())
        labels = {key: getattr(value, "label", value) for key, value in params.items()}
        level = strictest(case.requirements)
        return cls(item, f"{suite}.{area}.{name}", suite, title_of(title, labels), case, level, item.obj)

    @property
    def function(self) -> Callable[..., Any]:
        """The function of the case."""
        found: Callable[..., Any] = self.collected_function or self.item.obj
        return found

    @property
    def is_coroutine(self) -> bool:
        """True if a runner executes the case; otherwise pytest calls it like any test."""
        return inspect.iscoroutinefunction(self.function)

    def holds_for(self, profile: str) -> bool:
        """Returns whether one of its requirements belongs to this profile."""
        return any(profile in catalogue()[id_].profiles for id_ in self.case.requirements)

    def planned(self) -> PlannedCase:
        """The case as a runner executes it; only on request if pytest sets up fixtures for it."""
        parameters, fixtures = parameters_of(self.item), fixtures_of(self.item)

        async def body(context: Context) -> None:
            values = {name: self.item.funcargs[name] for name in fixtures}
            await call_coroutine(self.function, context, parameters | values)

        return PlannedCase(self.id, self.case, body, on_request=bool(fixtures))

    def as_json(self) -> dict[str, Any]:
        """The row of `ergo-conformance list --json`."""
        return {
            "id": self.id,
            "title": self.title,
            "suite": self.suite,
            "requirements": list(self.case.requirements),
            "level": self.level.value,
            "profiles": [p for p in PROFILES if self.holds_for(p)],
            "needs": {
                "offers": sorted(self.case.offers),
                "agents": sorted(self.case.agents),
                "config": dict(self.case.config),
            },
        }
