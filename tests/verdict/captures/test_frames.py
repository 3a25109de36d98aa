"""Frames in captures: whatever is damaged is reported, also inside compressed ones, and names that go without their ids."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import FrameType
from tests.support.recordings import (
    Found,
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


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "magic": (put(0, b"\x4f"), "wrong magic or version"),
    "version": (put(1, b"\2"), "wrong magic or version"),
    "length below a header": (put(2, b"\0\0\0\7"), "length out of range"),
    "length + 1": (lambda f: put(2, (len(f) + 1).to_bytes(4, "big"))(f), "refused at offset"),
    "length - 1": (lambda f: put(2, (len(f) - 1).to_bytes(4, "big"))(f), "refused at offset"),
    "type": (put(7, b"\xca"), "unknown frame type"),
    "a byte too much": (lambda f: sized(f + b"\0"), "refused at offset"),
    "a byte too few": (lambda f: sized(f[:-1]), "refused at offset"),
    "a byte is gone": (lambda f: f[:-1], "refused at offset"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@every_type
def test_a_damaged_frame_is_reported(tmp_path: Path, type_: FrameType, damage: str) -> None:
    change, said = DAMAGES[damage]
    found = change_frame(samples()[type_], change).check(tmp_path)
    assert any(said in text for text in found), found


@every_type
def test_a_damaged_tag_is_reported(tmp_path: Path, type_: FrameType) -> None:
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
def test_the_id_of_a_name_that_was_not_announced(tmp_path: Path, type_: FrameType) -> None:
    found = change_frame(samples()[type_], put(IDS[type_], b"\xfe\xfe")).check(tmp_path)
    assert any("unknown cache id (atom 65278)" in text for text in found)


def test_a_reason_that_is_no_error(tmp_path: Path) -> None:
    for type_ in (FrameType.EXIT, FrameType.TERMINATE_PID):
        at = value_at(samples()[type_])
        found = change_frame(samples()[type_], lambda f, at=at: sized(f[:at] + b"\x8d\0\0")).check(tmp_path)  # type: ignore[misc]
        assert any("not the expected message" in text for text in found)


def test_a_control_message_that_is_none(tmp_path: Path) -> None:
    found = change_frame(samples()[FrameType.CONTROL], lambda f: sized(f[:8] + b"\x8d\0\0")).check(tmp_path)
    assert any("not the expected message" in text for text in found)


def test_what_nothing_specifies_may_be_anything(tmp_path: Path) -> None:
    name, link, direction, frame = samples()[FrameType.MESSAGE_NAME]
    assert not frame.value.priority & enp.IMPORTANT
    assert change_frame((name, link, direction, frame), put(17, b"\xaa" * 8)).check(tmp_path) == []


# --- names that have ids ----------------------------------------------------------------------------------------------


def by_name(found: Found, id_: bytes, name: bytes) -> Recording:
    """The recording with one id in a value replaced by the name it stands for."""
    at = value_at(found)

    def change(frame: bytes) -> bytes:
        assert id_ in frame[at:]
        return sized(frame[:at] + frame[at:].replace(id_, name, 1))

    return change_frame(found, change)


def test_a_type_by_name_though_it_has_an_id(tmp_path: Path) -> None:
    found = first("master/links", lambda f: type(f) is enp.Control)
    ids = found[3].context.type_ids
    registry = found[3].context.registry
    row = registry.of_class(type(found[3].value.message))
    assert row is not None
    id_ = b"\x83" + ids[row.name].to_bytes(2, "big")
    said = by_name(found, id_, b"\x83" + len(row.name).to_bytes(2, "big") + row.name.encode()).check(tmp_path)
    assert [text.split(": ")[1].split(" offset")[0] for text in said] == [
        "the schema writes it otherwise",
        "the node writes it otherwise",
    ]
    assert all("CONTROL.message" in text for text in said)


def test_an_atom_by_name_though_it_has_an_id(tmp_path: Path) -> None:
    found = first("master/links", lambda f: type(f) is enp.Control)
    atom = found[3].value.message.Source.node
    id_ = found[3].context.atom_ids[atom].to_bytes(2, "big")
    said = by_name(found, id_, len(atom).to_bytes(2, "big") + atom.encode()).check(tmp_path)
    assert len(said) == 2
    assert all("writes it otherwise" in text for text in said)


def test_an_error_by_text_though_it_has_an_id(tmp_path: Path) -> None:
    found = first("master/exit", lambda f: type(f) is enp.Exit and f.reason.registered)
    text = found[3].value.reason.text
    id_ = found[3].context.error_ids[text].to_bytes(2, "big")
    (said,) = by_name(found, id_, len(text).to_bytes(2, "big") + text.encode()).check(tmp_path)
    assert f"the error {text!r} goes as text" in said


def test_an_error_in_a_value_by_text_though_it_has_an_id(tmp_path: Path) -> None:
    found = first(
        "master/links",
        lambda f: type(f) is enp.Control and getattr(getattr(f.message, "Error", None), "registered", False),
    )
    text = found[3].value.message.Error.text
    id_ = found[3].context.error_ids[text].to_bytes(2, "big")
    (said,) = by_name(found, id_, len(text).to_bytes(2, "big") + text.encode()).check(tmp_path)
    assert f"the error {text!r} goes as text" in said


# --- compressed frames ------------------------------------------------------------------------------------------------


def compressed(algorithm: enp.Algorithm) -> Found:
    return first("master/compression", lambda f: type(f) is enp.Compressed and f.algorithm == algorithm)


@pytest.mark.parametrize("algorithm", enp.Algorithm, ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize(
    ("change", "said"),
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
    ids=["length + 1", "length - 1", "4 GiB", "nothing", "algorithm", "stream", "a byte too much", "a byte too few"],
)
def test_a_damaged_compressed_frame(tmp_path: Path, algorithm: enp.Algorithm, change: Any, said: str) -> None:
    found = change_frame(compressed(algorithm), change).check(tmp_path)
    assert any(said in text for text in found), found


def repacked(change: Callable[[bytes], bytes]) -> Recording:
    """The recording with the frame inside a compressed one changed, and packed again."""
    name, link, direction, frame = compressed(enp.Algorithm.ZLIB)
    inner = change(frame.inner_bytes)
    stream = zlib.compress(inner)

    def again(data: bytes) -> bytes:
        return sized(data[:9] + len(inner).to_bytes(4, "big") + stream)

    return change_frame((name, link, direction, frame), again)


@pytest.mark.parametrize(
    ("change", "said"),
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
    ids=["magic", "version", "length", "type", "a byte too much", "a byte too few", "unknown id", "nested"],
)
def test_a_damaged_frame_inside(tmp_path: Path, change: Callable[[bytes], bytes], said: str) -> None:
    assert repacked(lambda f: f).check(tmp_path) == []
    assert any(said in text for text in repacked(change).check(tmp_path))


def test_the_rules_hold_inside_too(tmp_path: Path) -> None:
    """What nothing specifies is masked; what is in the table goes as its id."""
    assert repacked(put(17, b"\xaa" * 8)).check(tmp_path) == []
    *_, frame = compressed(enp.Algorithm.ZLIB)
    assert type(frame.inner and frame.inner.value) is enp.MessageNameCache
    atom = next(iter(frame.context.atom_ids))
    by_text = b"\x8c" + len(atom).to_bytes(2, "big") + atom.encode()
    found = repacked(lambda f: sized(f[:27] + by_text)).check(tmp_path)
    assert len(found) == 2
    assert all("inside: the " in text and "writes it otherwise" in text for text in found)
