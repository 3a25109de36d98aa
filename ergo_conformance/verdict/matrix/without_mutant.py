"""Table of the MUST cases that may find no mutant, with the reason. It shrinks: a new case comes with its mutant."""

from collections.abc import Mapping
from typing import Final

NOT_WRITTEN: Final = "its mutant is not written yet"
WITHOUT_MUTANT: Final[Mapping[str, str]] = {
    f"{area}.*": NOT_WRITTEN
    for area in (
        "node.applications",
        "node.calling",
        "node.compressing",
        "node.events",
        "node.links",
        "node.notification",
        "node.sending",
        "node.spawn",
        "node.stop",
        "node.watching",
        "proto.calls",
        "proto.codec",
        "proto.compression",
        "proto.control",
        "proto.delivery",
        "proto.header",
        "proto.important",
        "proto.malformed",
        "proto.order",
        "proto.pool",
        "proto.robustness",
        "proto.sizes",
    )
}
"""Reasons by ids of cases; `*` and `?` are wildcards."""
