"""The catalogue of requirements and its loader."""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import ErgoConformanceError
from ergo_conformance.spec import requirements
from ergo_conformance.spec.requirements import KEYS, PROTOCOLS, RequirementLevel, catalogue, strictest

EXTRA = """
[{id}]
level = "MUST"
text = "A sentence."
profiles = ["ergo-3.1"]
source = "here"
evidence = "READ"
{more}
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the loader read a copy of the catalogue, which a test may change."""
    for protocol in PROTOCOLS:
        with resources.as_file(resources.files(requirements).joinpath(f"{protocol}.toml")) as source:
            shutil.copy(source, tmp_path)
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    catalogue.cache_clear()
    yield tmp_path
    catalogue.cache_clear()


def change_file(folder: Path, protocol: str, id_: str, more: str = "") -> None:
    path = folder / f"{protocol}.toml"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA.format(id=id_, more=more), encoding="utf-8")


def test_the_loaded_copy_equals_the_catalogue(copy: Path) -> None:
    change_file(copy, "edf", "EDF-NEW-1")
    assert catalogue()["EDF-NEW-1"].level is RequirementLevel.MUST


def test_an_id_in_two_files_is_refused(copy: Path) -> None:
    change_file(copy, "ehs", "EDF-TOP-1")
    with pytest.raises(ErgoConformanceError, match=r"ehs\.toml: EDF-TOP-1"):
        catalogue()


def test_an_id_twice_in_one_file_is_refused(copy: Path) -> None:
    change_file(copy, "edf", "EDF-TOP-1")
    with pytest.raises(ErgoConformanceError, match=r"edf\.toml"):
        catalogue()


def test_an_unknown_key_is_refused(copy: Path) -> None:
    change_file(copy, "edf", "EDF-NEW-1", 'severity = "high"')
    with pytest.raises(ErgoConformanceError, match="EDF-NEW-1"):
        catalogue()


def test_an_unknown_level_is_refused(copy: Path) -> None:
    change_file(copy, "edf", "EDF-NEW-1")
    path = copy / "edf.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('level = "MUST"\ntext = "A sentence."', 'level = "SHALL"\ntext = "A"')
    )
    with pytest.raises(ValueError, match="SHALL"):
        catalogue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_row_is_complete(protocol: str) -> None:
    rows = [row for row in catalogue().values() if row.protocol == protocol]
    assert rows
    for row in rows:
        assert row.text.endswith("."), row.id
        assert row.source, row.id
        assert set(row.profiles) <= {"ergo-3.0", "ergo-3.1", "ergo-3.2", "ergo-3.3"}, row.id
        assert row.profiles, row.id
        assert row.evidence in {"VERIFIED", "READ", "DESIGN"}, row.id
        assert row.level is not RequirementLevel.MUST or not row.differs, row.id


def test_the_strictest_level_is_returned() -> None:
    by_level = {
        level: next(r.id for r in catalogue().values() if r.level is level)
        for level in (RequirementLevel.MUST, RequirementLevel.OBSERVED)
    }
    assert strictest(tuple(by_level.values())) is RequirementLevel.MUST
    assert strictest((by_level[RequirementLevel.OBSERVED],)) is RequirementLevel.OBSERVED
    assert strictest(()) is RequirementLevel.OBSERVED


def test_the_keys_are_those_of_a_requirement() -> None:
    assert KEYS - {*requirements.Requirement.__slots__} == set()
