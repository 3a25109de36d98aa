"""Generated frames: both writers return the same bytes, both readers the same frames."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import CLASSES, FrameType
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from tests.edf.strategies import MAPPED, fixed

from .codecs import (
    WRITERS,
    both_readers,
    both_writers,
    node_reads,
    node_writes,
    same_frames,
    slowly_reads,
    spec_reads,
    spec_writes,
)
from .strategies import CACHED, CACHES, PLAIN, REGISTRY, TABLES, controls, frames

every_type = pytest.mark.parametrize("type_", FrameType, ids=lambda type_: type_.name)


def check_agreement(frame: Any, caches: Caches) -> None:
    data = node_writes(frame, caches=caches)
    assert spec_writes(frame, caches=caches) == data
    assert int.from_bytes(data[2:6], "big") == len(data)
    for read in (node_reads, slowly_reads, spec_reads):
        found = read(data, caches=caches)
        assert same_frames(found, frame)
        assert type(found) is type(frame)
        assert node_writes(found, caches=caches) == spec_writes(found, caches=caches) == data


@every_type
@pytest.mark.parametrize("name", TABLES)
@fixed(5)
@given(data=st.data())
def test_writers_and_readers_agree(name: str, type_: FrameType, data: st.DataObject) -> None:
    check_agreement(data.draw(frames(type_, TABLES[name])), TABLES[name])


@pytest.mark.parametrize("name", controls)
@fixed(5)
@given(data=st.data())
def test_writers_and_readers_agree_on_every_control_message(name: str, data: st.DataObject) -> None:
    check_agreement(enp.Control(0, data.draw(controls[name])), CACHES)


@every_type
@fixed(4)
@given(data=st.data())
def test_writers_and_readers_agree_with_an_atom_mapping(type_: FrameType, data: st.DataObject) -> None:
    """An atom mapping applies to names in EDF and in frames (connection.go:SendProcessID, handleRecvQueue)."""
    frame = data.draw(frames(type_, MAPPED))
    check_agreement(frame, MAPPED)


@both_writers
@pytest.mark.parametrize("type_", [FrameType.MESSAGE_NAME, FrameType.MESSAGE_NAME_CACHE], ids=lambda type_: type_.name)
def test_a_mapped_name_is_written_as_its_mapped_name(write: Any, type_: FrameType) -> None:
    ours, theirs = Atom("ours"), Atom("theirs")
    caches = Caches(atoms={300: theirs, 301: ours}, atom_mapping={ours: theirs})
    data = write(PLAIN[type_]._replace(to_name=ours), caches=caches)
    assert data[25:].startswith(b"\x06theirs" if type_ is FrameType.MESSAGE_NAME else b"\x01\x2c")
    for read in (node_reads, slowly_reads, spec_reads):
        assert read(data, caches=caches).to_name == ours
        assert read(data, caches=Caches(atoms=caches.atoms)).to_name == theirs


@fixed(12)
@given(data=st.data(), types=st.lists(st.sampled_from(FrameType), min_size=2, max_size=6))
def test_a_codec_has_no_state_between_frames(data: st.DataObject, types: list[FrameType]) -> None:
    encoder, decoder = FrameEncoder(REGISTRY, CACHES), FrameDecoder(REGISTRY, CACHES)
    for frame in [*(data.draw(frames(type_)) for type_ in types)] * 2:
        written = encoder.write(frame)
        assert written == node_writes(frame, caches=CACHES)
        assert same_frames(decoder.read(written), frame)


@every_type
@both_writers
def test_a_frame_of_each_type_has_its_type_and_order(write: Any, type_: FrameType) -> None:
    data = write(PLAIN[type_], caches=TABLES["plain"])
    assert data[:2] == bytes([enp.MAGIC, enp.VERSION])
    assert data[6:8] == bytes([7, type_])


# --- frames that can't be encoded -------------------------------------------------------------------------------------


NAMES = {"name", "to_name"}
NAMED = sorted(type_ for type_ in FrameType if type_ not in CACHED and NAMES & {*CLASSES[type_]._fields})


@pytest.mark.parametrize("type_", NAMED, ids=lambda type_: type_.name)
def test_a_name_of_256_bytes_raises_cannot_encode(type_: FrameType) -> None:
    fields = NAMES & {*CLASSES[type_]._fields}
    for field, write in ((field, write) for field in fields for write in WRITERS.values()):
        longest = PLAIN[type_]._replace(**{field: Atom("é" * 127 + "x")})
        assert same_frames(node_reads(write(longest)), longest)
        with pytest.raises(CannotEncode):
            write(longest._replace(**{field: Atom("é" * 128)}))


@pytest.mark.parametrize("type_", sorted(CACHED), ids=lambda type_: type_.name)
@both_writers
def test_a_cached_name_without_an_id_raises_cannot_encode(write: Any, type_: FrameType) -> None:
    with pytest.raises(CannotEncode):
        write(PLAIN[type_])


@both_writers
def test_both_writers_use_the_same_id_of_a_name_with_several_ids(write: Any) -> None:
    caches = Caches(atoms={300: Atom("only"), 301: Atom("only"), 7: Atom("only")})
    frame = PLAIN[FrameType.MESSAGE_NAME_CACHE]
    assert write(frame, caches=caches) == node_writes(frame, caches=caches)
    assert spec_reads(write(frame, caches=caches), caches=caches) == frame


def case(type_: FrameType, **fields: Any) -> Any:
    shown = ",".join(f"{name}={value!r:.20}" for name, value in fields.items())
    return pytest.param(PLAIN[type_]._replace(**fields), id=f"{type_.name}-{shown}")


@pytest.mark.parametrize(
    "wrong",
    [
        case(FrameType.MESSAGE_PID, order=256),
        case(FrameType.MESSAGE_PID, order=-1),
        case(FrameType.MESSAGE_PID, from_id=1 << 64),
        case(FrameType.MESSAGE_PID, priority=256),
        case(FrameType.MESSAGE_PID, mid=-1),
        case(FrameType.MESSAGE_PID, to_id="1"),
        case(FrameType.MESSAGE_PID, payload=object()),
        case(FrameType.MESSAGE_NAME, to_name=5),
        case(FrameType.MESSAGE_NAME_CACHE, to_name=5),
        case(FrameType.EVENT, timestamp=1 << 63),
        case(FrameType.REQUEST_PID, ref=(1, 2)),
        case(FrameType.REQUEST_PID, ref=(1, 2, 3, 4)),
        case(FrameType.REQUEST_ALIAS, to_alias=(1, 2, 1 << 64)),
        case(FrameType.COMPRESSED, length=1 << 32),
        case(FrameType.COMPRESSED, stream="text"),
    ],
)
@both_writers
def test_a_value_outside_its_field_raises_cannot_encode(write: Any, wrong: Any) -> None:
    with pytest.raises(CannotEncode):
        write(wrong, caches=CACHES)


@pytest.mark.parametrize(
    "wrong",
    [
        case(FrameType.MESSAGE_PID, payload=None),
        case(FrameType.EXIT, reason="text"),
        case(FrameType.EXIT, reason=None),
        case(FrameType.TERMINATE_PID, reason=None),
        case(FrameType.RESPONSE_ERROR, error=None),
        case(FrameType.RESPONSE_ERROR, error="text"),
        case(FrameType.RESPONSE_ERROR, code=1),
        case(FrameType.RESPONSE_ERROR, code=4, error=None),
        case(FrameType.CONTROL, message="text"),
        case(FrameType.CONTROL, message=None),
        pytest.param(("no", "frame"), id="tuple"),
        pytest.param(None, id="None"),
    ],
)
def test_the_node_raises_cannot_encode_for_a_frame_that_readers_refuse(wrong: Any) -> None:
    """The schema writes them: the tester uses it to send invalid frames."""
    with pytest.raises(CannotEncode):
        node_writes(wrong, caches=CACHES)


@both_readers
def test_a_name_read_from_the_wire_is_an_atom(read: Any) -> None:
    frame = PLAIN[FrameType.MESSAGE_NAME]._replace(to_name=Atom("\udcff"))
    assert type(read(node_writes(frame)).to_name) is Atom
