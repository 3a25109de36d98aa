"""The catalogue of requirements: statements of the protocol documents with level, source, and the reason for a missing case."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

from ...errors import ErgoConformanceError

PROTOCOLS = ("edf", "ehs", "enp", "esrd", "saturn")
KEYS = frozenset({"level", "text", "profiles", "source", "evidence", "role", "differs", "reason", "untested"})


class RequirementLevel(StrEnum):
    """Level of a requirement, strictest first. OBSERVED: the upstream node does so, no document demands it."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    OBSERVED = "OBSERVED"


STRICTNESS = tuple(RequirementLevel)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement. `differs`: a quirk or bug of the upstream node; a target that behaves differently conforms."""

    id: str
    protocol: str
    level: RequirementLevel
    text: str
    profiles: tuple[str, ...]
    source: str
    evidence: str
    role: str = ""
    differs: bool = False
    reason: str = ""
    untested: str = ""


@cache
def catalogue() -> Mapping[str, Requirement]:
    """Returns all requirements by id, in document order."""
    found: dict[str, Requirement] = {}
    for protocol in PROTOCOLS:
        text = resources.files(__name__).joinpath(f"{protocol}.toml").read_text(encoding="utf-8")
        try:
            rows = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ErgoConformanceError(f"{protocol}.toml: {error}") from None
        for id_, row in rows.items():
            if id_ in found or row.keys() - KEYS:
                raise ErgoConformanceError(f"{protocol}.toml: {id_} is defined twice or has unknown keys")
            found[id_] = Requirement(
                id=id_,
                protocol=protocol,
                **{**row, "level": RequirementLevel(row["level"]), "profiles": tuple(row["profiles"])},
            )
    return found


def strictest(ids: tuple[str, ...]) -> RequirementLevel:
    """Returns the strictest level of these requirements: the level of a case that shows them."""
    levels = [catalogue()[id_].level for id_ in ids]
    return min(levels, key=STRICTNESS.index, default=RequirementLevel.OBSERVED)
