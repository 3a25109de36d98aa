"""What the writers of a capture know: the registered types of their release, and tables in place of an Introduce."""

from functools import cache
from typing import Any, Final

from ...locate import suites
from ...model.ergo import records
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.json.types import payload_from_json, row_from_json
from ...model.registry import Registry
from ...model.values import Atom
from ..vectors.edf import read_json
from .load import Capture

PROFILES: Final = {"3.0": "ergo-3.0"}
"""Releases whose framework types are not those of `LATER`."""
LATER: Final = "ergo-3.1"
SETS: Final = {"newest": ("framework", "subject", "newest")}
"""Sets that hold more than the framework and their own rows."""
SCRIPTED: Final = "scripted"
"""Stands among the releases of a row that only scripts write."""

Json = Any


@cache
def registry_of(releases: tuple[str, ...], set_: str) -> Registry:
    """The framework's rows and those of a further set, as writers of these releases have them."""
    registry = records.framework(PROFILES.get(releases[0], LATER))
    content = read_json(suites() / "golden" / "subject_types.json")
    payloads = {row["name"]: payload_from_json(row) for row in content["marshalers"]["types"]}
    for row in content["types"]:
        known = not row.get("releases") or any(release in row["releases"] for release in releases)
        if known and row["set"] in SETS.get(set_, ("framework", set_)):
            registry.add(row_from_json(row, payloads))
    return registry


def registry_for(capture: Capture, direction: str) -> Registry:
    """The types that the writer of a direction knows. A script has no release; it writes as those it talks to, and more."""
    given: dict[str, str] = capture.meta.get("release") or {}
    release = given.get(capture.writer(direction))
    releases = (release,) if release else (next(iter(given.values()), ""), SCRIPTED)
    return registry_of(releases, str(capture.meta.get("types")))


def caches_for(capture: Capture, link: str, direction: str) -> Caches:
    """The tables that stand in for an Introduce, where the handshake was not recorded."""
    tables = (capture.meta.get("caches") or {}).get(capture.writer(direction))
    if tables is None or not capture.is_cut(link, direction, "start"):
        return NO_CACHES
    return Caches(
        atoms={int(id_): Atom(name) for id_, name in (tables.get("atoms") or {}).items()},
        types={int(id_): name for id_, name in (tables.get("types") or {}).items()},
        errors={int(id_): text for id_, text in (tables.get("errors") or {}).items()},
    )
