"""Table of the MUST cases that find no mutant yet, with the reason."""

from collections.abc import Mapping
from typing import Final

WITHOUT_MUTANT: Final[Mapping[str, str]] = {"*": "its mutant is not written yet"}
"""Reasons by ids of cases; `*` and `?` are wildcards."""
