"""The project's own EDF vector files by groups of rows, as the golden suite runs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from ...locate import suites
from ...model.ergo.caches import Caches
from ...model.registry import Registry
from ...targets.base import Codec
from .difference import Difference, violation
from .edf import EdfFile, check_row, checks_of
from .files import Json, file_registry, read_json

VALID_VALUE: Final = ["after", 1, None]
VALID_BYTES: Final = bytes.fromhex("8200029d849d000000038d00056166746572960000000000000001ff")
"""An encoding of VALID_VALUE."""


@dataclass(frozen=True, slots=True)
class GoldenGroup:
    """The rows of one group that require one kind of check of a codec: reads, writes or judges."""

    name: str
    kind: str
    file: EdfFile
    rows: tuple[Json, ...]

    @property
    def label(self) -> str:
        """The group's name and number of rows."""
        return f"group {self.name} ({len(self.rows)} row{'s' if len(self.rows) > 1 else ''})"

    @property
    def requirements(self) -> tuple[str, ...]:
        """Requirement ids of all rows."""
        return tuple(dict.fromkeys(id_ for row in self.rows for id_ in row.get("requirements", ())))

    def check(self, codec: Codec, *, valid_value_between: bool = False) -> None:
        """Checks all rows. Raises ViolationError with the first differences.

        With `valid_value_between` a valid value has to be read after each row.
        """
        found: list[Difference] = []
        for row in self.rows:
            found += check_row(codec, row, self.file.registry, self.kind)
            if valid_value_between:
                found += _check_valid_value(codec, self.file.registry, row["id"])
        if found:
            protocol = self.file.content.get("protocol", "EDF")
            raise violation(found, f"the result in `expect` of each row of the {protocol} vectors")


def _check_valid_value(codec: Codec, registry: Registry, row_id: str) -> Iterator[Difference]:
    try:
        actual, end = codec.decode(VALID_BYTES, registry, Caches())
    except Exception as error:  # noqa: BLE001  a codec may raise anything after a refusal
        yield Difference(row_id, f"after this row a valid value is refused: {type(error).__name__}: {error}")
        return
    if actual != VALID_VALUE or end != len(VALID_BYTES):
        yield Difference(row_id, f"after this row a valid value is read as {actual!r}")


@cache
def golden_file(name: str) -> EdfFile:
    """Loads one of the project's own EDF vector files."""
    content = read_json(suites() / "golden" / name)
    return EdfFile(content, file_registry(content))


def golden_groups(name: str, kind: str) -> list[GoldenGroup]:
    """Returns the groups of a golden file that have rows with this kind of check."""
    file = golden_file(name)
    groups = []
    for group in file.groups():
        rows = tuple(row for row in file.rows if row["group"] == group and kind in checks_of(row))
        if rows:
            groups.append(GoldenGroup(group, kind, file, rows))
    return groups
