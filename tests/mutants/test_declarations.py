"""Declarations of the mutants; faults are installed in the node and removed."""

from operator import attrgetter
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.mutants.crash import crash, crash_handler
from ergo_conformance.mutants.faults import ClassFault, NameFault, with_constants
from ergo_conformance.mutants.mutant import Mutant
from ergo_conformance.mutants.registry import AREAS, MUTANTS, mutant_named
from ergo_conformance.reference_node.core import mailbox
from ergo_conformance.reference_node.core.mailbox import Mailbox
from ergo_conformance.reference_node.ergo.esrd import EsrdNameTable
from ergo_conformance.spec.requirements import catalogue

ALL = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=attrgetter("id"))
REPLACING = [mutant for mutant in MUTANTS.values() if isinstance(mutant.fault, ClassFault | NameFault)]
"""Mutants whose fault replaces attributes of classes or modules."""


def test_names_of_mutants_and_areas_are_unique() -> None:
    assert len(MUTANTS) == sum(len(area.mutants) for area in AREAS)
    assert len({area.name for area in AREAS}) == len(AREAS)


@ALL
def test_a_mutant_states_what_it_breaks_and_which_requirements(mutant: Mutant) -> None:
    assert mutant.breaks.endswith(".")
    assert mutant.requirements
    assert set(mutant.requirements) <= catalogue().keys()


def state(fault: Any) -> list[Any]:
    """Returns everything that a fault may replace."""
    match fault:
        case ClassFault():
            return [dict(vars(fault.base))]
        case NameFault():
            return [getattr(module, fault.name) for module in fault.modules]
    return []


@pytest.mark.parametrize("mutant", REPLACING, ids=attrgetter("id"))
def test_a_fault_is_removed_after_its_run(mutant: Mutant) -> None:
    before = state(mutant.fault)
    with mutant.installed():
        assert state(mutant.fault) != before
    assert state(mutant.fault) == before


def test_a_fault_is_removed_after_an_error() -> None:
    class Faulty(EsrdNameTable):
        pass

    with pytest.raises(RuntimeError), ClassFault(Faulty).installed():
        raise RuntimeError
    assert type(EsrdNameTable()) is EsrdNameTable


def test_an_installed_class_fault_replaces_the_class_of_new_objects() -> None:
    class Faulty(Mailbox):
        __slots__ = ()

        def __init__(self, limit: int) -> None:
            super().__init__(limit + 1)

    with ClassFault(Faulty).installed():
        made = Mailbox(1)
        assert type(made) is Faulty
        assert made._limit == 2
        assert type(Faulty(1)) is Faulty
    assert type(Mailbox(1)) is Mailbox
    assert Mailbox(1)._limit == 1


def test_a_fault_in_a_name_that_the_module_lacks_raises_attribute_error() -> None:
    with pytest.raises(AttributeError), NameFault((mailbox,), "NO_SUCH_NAME", 1).installed():
        pass
    with pytest.raises(AttributeError):
        with_constants(mailbox, NO_SUCH_NAME=1)


def test_a_crash_calls_the_handler() -> None:
    crashes: list[str] = []
    with crash_handler(lambda: crashes.append("node")):
        crash()
    assert crashes == ["node"]


@pytest.mark.parametrize("text", ["handshake.swapped_digest", "swapped_digest"])
def test_mutant_named_finds_a_mutant_by_id_and_by_name(text: str) -> None:
    assert mutant_named(text) is MUTANTS["handshake.swapped_digest"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no_deadline", "several mutants: esrd.no_deadline, handshake.no_deadline, saturn.no_deadline"),
        ("swaped_digest", "did you mean"),
        ("", "unknown mutant"),
    ],
)
def test_mutant_named_with_an_unknown_or_ambiguous_name_raises(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        mutant_named(text)
