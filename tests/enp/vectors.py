"""Golden rows of ENP, prepared for these tests."""

import json
from functools import cache
from typing import Any

from ergo_conformance.errors import Rejected
from ergo_conformance.locate import suites
from ergo_conformance.model.ergo.enp import Compressed
from ergo_conformance.model.json.frames import frame_from_json
from ergo_conformance.spec.ergo.enp import unpack
from ergo_conformance.verdict.vectors.frames import frame_registry

Json = Any

CONTENT: Json = json.loads((suites() / "golden" / "enp_vectors.json").read_text(encoding="utf-8"))
ROWS: list[Json] = CONTENT["vectors"]
CASES: list[Json] = CONTENT["cases"]
COMPRESSED = [row for row in ROWS if row["group"] == "COMPRESSED"]
REGISTRY = frame_registry(CONTENT)


@cache
def _compressed(id_: str) -> Compressed:
    (row,) = (row for row in COMPRESSED if row["id"] == id_)
    frame = frame_from_json("COMPRESSED", row["fields"], REGISTRY)
    assert isinstance(frame, Compressed)
    return frame


def compressed_of(row: Json) -> Compressed:
    """Returns the frame of a compressed row."""
    return _compressed(row["id"])


def inner_hex(row: Json) -> str:
    """Returns the bytes of the inner frame."""
    data = unpack(compressed_of(row))
    assert not isinstance(data, Rejected)
    return data.hex()
