"""Static routes: which nodes are looked for where, before any registrar is asked (gen.NetworkRoute).

Where a route has a resolver, upstream takes nothing but what that finds (NAPI-RT-4); here its cookie, flags and mapping count,
too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ...model.ergo import error_values
from ...model.ergo.ehs import Flags, Version
from ...model.values import Atom, Error
from ..api.errors import ErgoError
from ..api.handshake import NO_VERSION
from ..api.validation import MAX_PORT, check_cookie, check_mapping, within

if TYPE_CHECKING:
    from ..api import Resolver

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRoute:
    """Where and how a node is dialed. What is None, or empty, is the node's own setting.

    `host`: empty is the host part of the wanted name (NAPI-CON-8); a port of 0 leads nowhere.  `handshake_version` and
    `proto_version`: which of the node's stacks, by name and release.  `resolver`: finds host, port, TLS and versions, in
    place of the ones given.  `atom_mapping`: local atoms to what the peer calls them.  `insecure_skip_verify`: whether TLS
    takes any certificate (upstream overwrites it with the node's setting, NAPI-OPT-9).
    """

    host: str = ""
    port: int = 0
    tls: bool = False
    handshake_version: Version = NO_VERSION
    proto_version: Version = NO_VERSION
    resolver: "Resolver | None" = None
    cookie: str | None = None
    flags: Flags | None = None
    atom_mapping: Mapping[str, str] = field(default_factory=dict)
    insecure_skip_verify: bool | None = None

    def __post_init__(self) -> None:
        within("port", self.port, 0, MAX_PORT)
        check_cookie(self.cookie)
        check_mapping(self.atom_mapping)


class _Row(NamedTuple, Generic[T]):
    pattern: re.Pattern[str]
    route: T
    weight: int


class StaticRoutes(Generic[T]):
    """Routes by regular expressions, found anywhere in a name (NAPI-RT-1)."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row[T]] = {}

    def add(self, match: str, route: T, weight: int = 0) -> None:
        """ErgoError "resource is taken" for an expression that is there, with the parser's text for one that is none."""
        if match in self._rows:
            raise ErgoError(error_values.TAKEN)
        try:
            pattern = re.compile(match)
        except re.error as error:
            raise ErgoError(Error(f"error parsing regexp: {error}")) from None
        self._rows[match] = _Row(pattern, route, weight)

    def remove(self, match: str) -> None:
        """ErgoError "unknown" if it is not there."""
        if self._rows.pop(match, None) is None:
            raise ErgoError(error_values.UNKNOWN)

    def of(self, name: Atom) -> list[T]:
        """All routes for a name, the greatest weight first (NAPI-RT-2). ErgoError "no route" if there are none."""
        found = [row for row in self._rows.values() if row.pattern.search(name)]
        if not found:
            raise ErgoError(error_values.NO_ROUTE)
        return [row.route for row in sorted(found, key=lambda row: -row.weight)]

    def rows(self) -> list[tuple[str, int, T]]:
        """Expression, weight and route of all, in the order in which they were added."""
        return [(match, row.weight, row.route) for match, row in self._rows.items()]
