"""Table of the MUST cases that may find no mutant, with the reason. It shrinks: a new case comes with its mutant."""

from collections.abc import Mapping
from typing import Final

WITHOUT_MUTANT: Final[Mapping[str, str]] = {
    "node.resources.*": "needs a started process; tests/targets/test_resource_cases.py shows that nodes with a fault fail",
}
"""Reasons by ids of cases; `*` and `?` are wildcards."""
