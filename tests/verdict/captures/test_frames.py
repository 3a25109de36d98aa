"""Changed frames in captures are reported, also inside compressed frames, and names that are written in place of their ids."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import FrameType
from tests.support.recordings import (
    CapturedFrame,
    Recording,
    change_frame,
    first,
    put,
    samples,
    sized,
    value_at,
)

RECORDED = sorted(set(FrameType) - {FrameType.TERMINATE_NAME_CACHE})
every_type = pytest.mark.parametrize("type_", RECORDED, ids=lambda type_: type_.name)


CORRUPTIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "magic": (put(0, b"\x4f"), "wrong magic or version"),
    "version": (put(1, b"\2"), "wrong magic or version"),
    "length below a header": (put(2, b"\0\0\0\7"), "length out of range"),
    "length + 1": (lambda f: put(2, (len(f) + 1).to_bytes(4, "big"))(f), "refused at offset"),
    "length - 1": (lambda f: put(2, (len(f) - 1).to_bytes(4, "big"))(f), "refused at offset"),
    "type": (put(7, b"\xca"), "unknown frame type"),
    "a surplus byte": (lambda f: sized(f + b"\0"), "refused at offset"),
    "a missing byte": (lambda f: sized(f[:-1]), "refused at offset"),
    "a missing byte, length unchanged": (lambda f: f[:-1], "refused at offset"),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@every_type
def test_a_corrupt_frame_is_reported(tmp_path: Path, type_: FrameType, corruption: str) -> None:
    change, expected = CORRUPTIONS[corruption]
    found = change_frame(samples()[type_], change).check(tmp_path)
    assert any(expected in text for text in found), found


@every_type
def test_a_corrupt_tag_is_reported(tmp_path: Path, type_: FrameType) -> None:
    if type_ not in (FrameType.COMPRESSED, FrameType.RESPONSE_ERROR):
        found = change_frame(samples()[type_], put(value_at(samples()[type_]), b"\x01")).check(tmp_path)
        assert any("unknown tag" in text for text in found)


IDS = {
    FrameType.MESSAGE_NAME_CACHE: 25,
    FrameType.EVENT_CACHE: 25,
    FrameType.REQUEST_NAME_CACHE: 41,
    FrameType.TERMINATE_EVENT_CACHE: 9,
}


@pytest.mark.parametrize("type_", IDS, ids=lambda type_: type_.name)
def test_an_id_that_was_not_announced_is_reported(tmp_path: Path, type_: FrameType) -> None:
    found = change_frame(samples()[type_], put(IDS[type_], b"\xfe\xfe")).check(tmp_path)
    assert any("unknown cache id (atom 65278)" in text for text in found)


def test_a_reason_that_is_not_an_error_is_reported(tmp_path: Path) -> None:
    for type_ in (FrameType.EXIT, FrameType.TERMINATE_PID):
        at = value_at(samples()[type_])
        found = change_frame(samples()[type_], lambda f, at=at: sized(f[:at] + b"\x8d\0\0")).check(tmp_path)  # type: ignore[misc]
        assert any("not the expected message" in text for text in found)


def test_a_control_frame_without_a_control_message_is_reported(tmp_path: Path) -> None:
    found = change_frame(samples()[FrameType.CONTROL], lambda f: sized(f[:8] + b"\x8d\0\0")).check(tmp_path)
    assert any("not the expected message" in text for text in found)


def test_an_unspecified_message_id_may_have_any_value(tmp_path: Path) -> None:
    captured = first(
        "master/send", lambda value: isinstance(value, enp.MessageName) and not value.priority & enp.IMPORTANT
    )
    assert change_frame(captured, put(17, b"\xaa" * 8)).check(tmp_path) == []


# --- names in place of ids --------------------------------------------------------------------------------------------


def by_name(found: CapturedFrame, id_: bytes, name: bytes) -> Recording:
    """Returns the recording with one id in a value replaced by the name it stands for."""
    at = value_at(found)

    def change(frame: bytes) -> bytes:
        assert id_ in frame[at:]
        return sized(frame[:at] + frame[at:].replace(id_, name, 1))

    return change_frame(found, change)


def test_a_type_name_in_place_of_its_id_is_reported(tmp_path: Path) -> None:
    found = first("master/links", lambda f: type(f) is enp.Control)
    ids = found[3].context.type_ids
    registry = found[3].context.registry
    row = registry.of_class(type(found[3].value.message))
    assert row is not None
    id_ = b"\x83" + ids[row.name].to_bytes(2, "big")
    texts = by_name(found, id_, b"\x83" + len(row.name).to_bytes(2, "big") + row.name.encode()).check(tmp_path)
    assert [text.split(": ")[1] for text in texts] == [
        "schema",
        "node",
    ]
    assert all("CONTROL.message" in text for text in texts)


def test_an_atom_in_place_of_its_id_is_reported(tmp_path: Path) -> None:
    found = first("master/links", lambda f: type(f) is enp.Control)
    atom = found[3].value.message.Source.node
    id_ = found[3].context.atom_ids[atom].to_bytes(2, "big")
    texts = by_name(found, id_, len(atom).to_bytes(2, "big") + atom.encode()).check(tmp_path)
    assert len(texts) == 2
    assert all("written differently" in text for text in texts)


def test_an_error_text_in_place_of_its_id_is_reported(tmp_path: Path) -> None:
    found = first("master/exit", lambda f: type(f) is enp.Exit and f.reason.registered)
    text = found[3].value.reason.text
    id_ = found[3].context.error_ids[text].to_bytes(2, "big")
    (difference,) = by_name(found, id_, len(text).to_bytes(2, "big") + text.encode()).check(tmp_path)
    assert f"the error {text!r} is written as text" in difference


def test_an_error_text_inside_a_value_in_place_of_its_id_is_reported(tmp_path: Path) -> None:
    found = first(
        "master/links",
        lambda f: type(f) is enp.Control and getattr(getattr(f.message, "Error", None), "registered", False),
    )
    text = found[3].value.message.Error.text
    id_ = found[3].context.error_ids[text].to_bytes(2, "big")
    (difference,) = by_name(found, id_, len(text).to_bytes(2, "big") + text.encode()).check(tmp_path)
    assert f"the error {text!r} is written as text" in difference


# --- compressed frames ------------------------------------------------------------------------------------------------


def compressed(algorithm: enp.Algorithm) -> CapturedFrame:
    return first("master/compression", lambda f: type(f) is enp.Compressed and f.algorithm == algorithm)


@pytest.mark.parametrize("algorithm", enp.Algorithm, ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: put(9, (int.from_bytes(f[9:13], "big") + 1).to_bytes(4, "big"))(f), "malformed compressed data"),
        (lambda f: put(9, (int.from_bytes(f[9:13], "big") - 1).to_bytes(4, "big"))(f), "malformed compressed data"),
        (put(9, b"\xff\xff\xff\xff"), "length out of range"),
        (put(9, b"\0\0\0\0"), "length out of range"),
        (put(8, b"\x63"), "malformed compressed data"),
        (lambda f: put(len(f) // 2, bytes([f[len(f) // 2] ^ 0x10]))(f), "refused at offset"),
        (lambda f: sized(f + b"\0"), "malformed compressed data"),
        (lambda f: sized(f[:-1]), "malformed compressed data"),
    ],
    ids=["length + 1", "length - 1", "4 GiB", "nothing", "algorithm", "stream", "a surplus byte", "a missing byte"],
)
def test_a_corrupt_compressed_frame_is_reported(
    tmp_path: Path, algorithm: enp.Algorithm, change: Any, expected: str
) -> None:
    found = change_frame(compressed(algorithm), change).check(tmp_path)
    assert any(expected in text for text in found), found


def repacked(change: Callable[[bytes], bytes]) -> Recording:
    """Returns the recording with the frame inside a compressed one changed and compressed again."""
    name, socket, direction, frame = compressed(enp.Algorithm.ZLIB)
    inner = change(frame.inner_bytes)
    stream = zlib.compress(inner)

    def again(data: bytes) -> bytes:
        return sized(data[:9] + len(inner).to_bytes(4, "big") + stream)

    return change_frame((name, socket, direction, frame), again)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(0, b"\x4f"), "wrong magic or version"),
        (put(1, b"\2"), "wrong magic or version"),
        (put(2, b"\0\0\0\x08"), "bytes left over"),
        (put(7, b"\xca"), "unknown frame type"),
        (lambda f: sized(f + b"\0"), "bytes left over"),
        (lambda f: sized(f[:-1]), "end of data"),
        (put(25, b"\xfe\xfe"), "unknown cache id"),
        (lambda f: b"\x4e\1\0\0\0\x0d\0\xc8\x65\0\0\0\x08", "a compressed frame in a compressed frame"),
    ],
    ids=["magic", "version", "length", "type", "a surplus byte", "a missing byte", "unknown id", "nested"],
)
def test_a_corrupt_inner_frame_is_reported(tmp_path: Path, change: Callable[[bytes], bytes], expected: str) -> None:
    assert repacked(lambda f: f).check(tmp_path) == []
    assert any(expected in text for text in repacked(change).check(tmp_path))


def test_an_atom_in_place_of_its_id_in_an_inner_frame_is_reported(tmp_path: Path) -> None:
    """The unspecified message id of an inner frame may have any value."""
    assert repacked(put(17, b"\xaa" * 8)).check(tmp_path) == []
    *_, frame = compressed(enp.Algorithm.ZLIB)
    assert type(frame.inner and frame.inner.value) is enp.MessageNameCache
    atom = next(iter(frame.context.atom_ids))
    by_text = b"\x8c" + len(atom).to_bytes(2, "big") + atom.encode()
    found = repacked(lambda f: sized(f[:27] + by_text)).check(tmp_path)
    assert len(found) == 2
    assert all("inner frame: " in text and "written differently" in text for text in found)
