"""The target's EDF codec against golden values and malformed inputs, one case per group and direction."""

import pytest

from ergo_conformance.targets.base import Codec
from ergo_conformance.testing import case
from ergo_conformance.verdict.vectors.edf import Group, golden_groups

READS = golden_groups("edf_vectors.json", "reads")
WRITES = golden_groups("edf_vectors.json", "writes")
MALFORMED = golden_groups("edf_negative.json", "judges")
TOGETHER = [group for group in MALFORMED if group.name in {"truncation", "length", "depth", "huge"}]


def groups(found: list[Group]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("group", found, ids=lambda group: group.name.replace("-", "_"))


@groups(READS)
@case("EDF-TOP-1", offers=("codec",))
def test_reads(ergo_codec: Codec, group: Group) -> None:
    """The golden bytes of {group} are read as the values they stand for, nothing left over."""
    group.hold(ergo_codec)


@groups(WRITES)
@case("EDF-TOP-1", offers=("codec",))
def test_writes(ergo_codec: Codec, group: Group) -> None:
    """The golden values of {group} are written as exactly the golden bytes."""
    group.hold(ergo_codec)


@groups(MALFORMED)
@case("ROB-EDF-1", offers=("codec",))
def test_malformed(ergo_codec: Codec, group: Group) -> None:
    """Malformed and unusual inputs of {group} are refused, or read as the value they stand for."""
    group.hold(ergo_codec)


@groups(TOGETHER)
@case("ROB-EDF-7", offers=("codec",))
def test_good_value_after_a_refusal(ergo_codec: Codec, group: Group) -> None:
    """After each refused input of {group} a good value is read as if nothing had been."""
    group.hold(ergo_codec, good_value_between=True)
