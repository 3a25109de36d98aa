"""The target's EDF codec against golden values and malformed inputs, one case per group and direction."""

import pytest

from ergo_conformance.testing import Codec, case
from ergo_conformance.verdict.vectors.golden import GoldenGroup, golden_groups

READS = golden_groups("edf_vectors.json", "reads")
WRITES = golden_groups("edf_vectors.json", "writes")
MALFORMED = golden_groups("edf_negative.json", "judges")
TOGETHER = [group for group in MALFORMED if group.name in {"truncation", "length", "depth", "huge"}]


def groups(found: list[GoldenGroup]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("group", found, ids=lambda group: group.name.replace("-", "_"))


@groups(READS)
@case("EDF-TOP-1", offers=("codec",))
def test_reads(ergo_codec: Codec, group: GoldenGroup) -> None:
    """A codec reads the golden bytes of {group} as their values, with no bytes left over."""
    group.check(ergo_codec)


@groups(WRITES)
@case("EDF-TOP-1", offers=("codec",))
def test_writes(ergo_codec: Codec, group: GoldenGroup) -> None:
    """A codec writes the golden values of {group} as exactly the golden bytes."""
    group.check(ergo_codec)


@groups(MALFORMED)
@case("ROB-EDF-1", offers=("codec",))
def test_malformed(ergo_codec: Codec, group: GoldenGroup) -> None:
    """A codec refuses malformed and unusual inputs of {group}, or reads them as the value they stand for."""
    group.check(ergo_codec)


@groups(TOGETHER)
@case("ROB-EDF-7", offers=("codec",))
def test_good_value_after_a_refusal(ergo_codec: Codec, group: GoldenGroup) -> None:
    """A codec reads a valid value after each refused input of {group} as if the input had not occurred."""
    group.check(ergo_codec, valid_value_between=True)
