"""Page in Markdown: the mutants of each area, and the mutants of each requirement, by their declarations."""

from collections.abc import Iterator

from ...mutants.mutant import Area, Mutant
from ...mutants.registry import AREAS, MUTANTS
from ...spec.export.markdown import NOTE, table
from ...spec.requirements import catalogue

INTRODUCTION = """# Mutants

Each mutant is the reference node with one seeded fault. `ergo-conformance mutants` shows that the cases named here find it;
[mutants.md](../mutants.md) describes the command. In a column of cases, `*` stands for any text.
"""


def mutants_page() -> str:
    """Returns the page."""
    subtle = sum(mutant.subtle for mutant in MUTANTS.values())
    count = (
        f"There are {len(MUTANTS)} mutants. {subtle} are subtle: wrong only at a boundary, on the second use, after a"
    )
    parts = [NOTE, INTRODUCTION, f"{count} re-connect, or under load.\n"]
    for area in AREAS:
        parts += [f"## {area.name}\n", _area(area)]
    parts += ["## By requirement\n", _requirements()]
    return "\n".join(parts)


def _area(area: Area) -> str:
    head = ("mutant", "fault", "subtle", "requirements", "found by")
    return table(head, (_row(mutant) for mutant in area.mutants))


def _row(mutant: Mutant) -> Iterator[str]:
    yield f"`{mutant.name}`"
    yield mutant.breaks
    yield "yes" if mutant.subtle else ""
    yield " ".join(mutant.requirements)
    yield " ".join(f"`{case}`" for case in mutant.found_by)


def _requirements() -> str:
    rows = []
    for id_, requirement in catalogue().items():
        named = [mutant.id for mutant in MUTANTS.values() if id_ in mutant.requirements]
        if named:
            rows.append((id_, requirement.level, " ".join(f"`{name}`" for name in named)))
    return table(("requirement", "level", "mutants"), rows)
