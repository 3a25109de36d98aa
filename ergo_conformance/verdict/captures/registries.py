"""The types that the writers of a capture know, and the cache tables of writers whose Introduce was not recorded."""

from functools import cache
from typing import Any, Final

from ...locate import suites
from ...model.ergo import records
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.json.types import payload_from_json, row_from_json
from ...model.registry import Registry
from ...model.values import Atom
from ..vectors.files import read_json
from .load import Capture

PROFILES: Final = {"3.0": "ergo-3.0"}
"""Profiles of the releases whose framework types differ from those of `LATER_PROFILE`."""
LATER_PROFILE: Final = "ergo-3.1"
SETS: Final = {"newest": ("framework", "subject", "newest")}
"""Sets with more rows than those of the framework and their own."""
SCRIPTED: Final = "scripted"
"""In the releases of a row that only scripts write."""

Json = Any


@cache
def writer_registry(releases: tuple[str, ...], set_: str) -> Registry:
    """Returns the framework's rows and those of a set, as writers of these releases register them."""
    registry = records.framework(PROFILES.get(releases[0], LATER_PROFILE))
    content = read_json(suites() / "golden" / "subject_types.json")
    payloads = {row["name"]: payload_from_json(row) for row in content["marshalers"]["types"]}
    for row in content["types"]:
        known = not row.get("releases") or any(release in row["releases"] for release in releases)
        if known and row["set"] in SETS.get(set_, ("framework", set_)):
            registry.add(row_from_json(row, payloads))
    return registry


def registry_for(capture: Capture, direction: str) -> Registry:
    """Returns the types of a direction's writer. A script has those of the first release, and the rows for scripts."""
    by_writer: dict[str, str] = capture.meta.get("release") or {}
    release = by_writer.get(capture.writer(direction))
    releases = (release,) if release else (next(iter(by_writer.values()), ""), SCRIPTED)
    return writer_registry(releases, str(capture.meta.get("types")))


def caches_for(capture: Capture, socket: str, direction: str) -> Caches:
    """Returns the cache tables in the metadata if the handshake was not recorded; otherwise empty ones."""
    tables = (capture.meta.get("caches") or {}).get(capture.writer(direction))
    if tables is None or not capture.is_cut(socket, direction, "start"):
        return NO_CACHES
    return Caches(
        atoms={int(id_): Atom(name) for id_, name in (tables.get("atoms") or {}).items()},
        types={int(id_): name for id_, name in (tables.get("types") or {}).items()},
        errors={int(id_): text for id_, text in (tables.get("errors") or {}).items()},
    )
