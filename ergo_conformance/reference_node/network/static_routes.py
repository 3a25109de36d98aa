"""Static routes of a node: matched before any registrar is asked.

If a route has a resolver, upstream uses only the resolved values (NAPI-RT-4); here the cookie, flags and mapping of the
route apply, too.
"""

import re
from typing import Generic, NamedTuple, TypeVar

from ...model.ergo import error_values
from ...model.values import Atom, Error
from ..api.errors import ErgoError

T = TypeVar("T")


class _Row(NamedTuple, Generic[T]):
    pattern: re.Pattern[str]
    route: T
    weight: int


class StaticRoutes(Generic[T]):
    """Routes by regular expressions; a match may be anywhere in a name (NAPI-RT-1)."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row[T]] = {}

    def add(self, match: str, route: T, weight: int = 0) -> None:
        """Adds a route. ErgoError "resource is taken" for an expression that was added already, or with the parser's text."""
        if match in self._rows:
            raise ErgoError(error_values.TAKEN)
        try:
            pattern = re.compile(match)
        except re.error as error:
            raise ErgoError(Error(f"error parsing regexp: {error}")) from None
        self._rows[match] = _Row(pattern, route, weight)

    def remove(self, match: str) -> None:
        """Removes a route. ErgoError "unknown" if the expression was not added."""
        if self._rows.pop(match, None) is None:
            raise ErgoError(error_values.UNKNOWN)

    def of(self, name: Atom) -> list[T]:
        """Returns the routes of a name, the greatest weight first (NAPI-RT-2). ErgoError "no route" if there are none."""
        found = [row for row in self._rows.values() if row.pattern.search(name)]
        if not found:
            raise ErgoError(error_values.NO_ROUTE)
        return [row.route for row in sorted(found, key=lambda row: -row.weight)]

    def rows(self) -> list[tuple[str, int, T]]:
        """Returns expression, weight and route of all routes, in the order in which they were added."""
        return [(match, row.weight, row.route) for match, row in self._rows.items()]
