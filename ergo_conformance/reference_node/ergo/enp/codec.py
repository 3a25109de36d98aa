"""Codec of ENP frames: one generated reader and writer per frame type, and a slow reader that finds the reason of an error."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model.ergo import enp
from ....model.ergo.caches import NO_CACHES, Caches
from ....model.ergo.enp import Frame, FrameType
from ....model.registry import Registry
from ....model.text import text_to_bytes
from ....model.values import Atom, Error
from ..edf import Decoder, Encoder
from ..edf.function_source import FunctionSource, packed_size
from ..edf.runtime import DISPATCH, FAST_PATH_ERRORS, FastPathError
from ..edf.tables import DecodeTables
from .layouts import FIXED_WIDTH_CODES, LAYOUTS

TYPE_AT: Final = enp.HEADER_LENGTH - 1
ORDER_AT: Final = enp.HEADER_LENGTH - 2
CONTROL_CLASSES: Final = frozenset(row.value_class for row in enp.CONTROL)
_CHECKS: Final[Mapping[str, frozenset[type]]] = {"E": frozenset({Error}), "M": CONTROL_CLASSES}
"""Layout codes of values that must belong to certain classes."""

_READ_ERRORS: Final = (*FAST_PATH_ERRORS, Rejected)  # Rejected: raised for a descriptor, and without a path

FrameReader = Callable[[bytes, DecodeTables, dict[int, Atom]], Any]
FrameWriter = Callable[[Any, Callable[[Any], bytes], dict[Atom, int], Mapping[Atom, Atom]], bytes]


# --- generated readers ------------------------------------------------------------------------------------------------


@cache
def generate_reader(type_: FrameType) -> FrameReader:
    """Returns `read(b, c, names)`, which reads the frame `b`. SlowFrameReader finds the reason of a failure."""
    source = FunctionSource("def read(b, c, names):")
    at, parts = _read_fixed(source, LAYOUTS[type_])
    names, tail = _read_rest(source, LAYOUTS[type_], at)
    new, cls = source.constant("new", tuple.__new__), source.constant("cls", enp.CLASSES[type_])
    values = ", ".join(part for part in (*parts, *names, *tail))
    source.add(f"return {new}({cls}, (b[{ORDER_AT}], {values},))")
    return source.compile("read", type_.name)


def _read_fixed(source: FunctionSource, fields: tuple[tuple[str, str], ...]) -> tuple[int, list[str]]:
    """Emits the reading of the leading fixed-width fields; returns the offset after them and their expressions."""
    codes, names, parts = "", [], []
    for _, code in fields:
        if code not in FIXED_WIDTH_CODES or code == "C":
            break
        fresh = [source.fresh("x") for _ in FIXED_WIDTH_CODES[code]]
        codes += FIXED_WIDTH_CODES[code]
        names += fresh
        parts.append(fresh[0] if len(fresh) == 1 else f"({', '.join(fresh)})")
    if names:
        unpack = source.struct_method("unpack_from", codes)
        source.add(f"{', '.join(names)}, = {unpack}(b, {enp.HEADER_LENGTH})")
    return enp.HEADER_LENGTH + packed_size(codes), parts


def _read_rest(source: FunctionSource, fields: tuple[tuple[str, str], ...], at: int) -> tuple[list[str], list[str]]:
    """Emits the reading of a name and of the last field; returns the expressions of both."""
    codes = [code for _, code in fields]
    names, here = [], f"{at}"
    if "C" in codes:
        names, here = [f"names[b[{at}] << 8 | b[{at + 1}]]"], f"{at + 2}"
    elif "N" in codes:
        source.add(f"o = {at + 1} + b[{at}]")
        names, here = [f"c.atoms[b[{at + 1}:o]]"], "o"
    match codes[-1]:
        case "S":
            return names, [f"b[{here}:]"]
        case "O":
            return names, [f"*{source.constant('outcome', _read_outcome)}(b, {here}, c)"]
    _read_value(source, here)
    if codes[-1] in _CHECKS:
        source.add(f"if {_check(source, codes[-1], 'v')}: raise {source.constant('Failed', FastPathError)}")
    return names, ["v"]


def _read_value(source: FunctionSource, here: str) -> None:
    source.add(f"v, end = {source.constant('DISPATCH', DISPATCH)}[b[{here}]](b, {here} + 1, c, 0)")
    source.add(f"if end != len(b): raise {source.constant('Failed', FastPathError)}")


def _check(source: FunctionSource, code: str, value: str) -> str:
    """Returns an expression that is true if the class of a value is not allowed for a layout code."""
    return f"type({value}) not in {source.constant('allowed', _CHECKS[code])}"


def _read_outcome(b: bytes, o: int, c: DecodeTables) -> Any:
    """Reads code and error of a ResponseError."""
    code = b[o]
    if code != enp.Code.OTHER:
        if code not in enp.CODES or o + 1 != len(b):
            raise FastPathError
        return code, None
    value, end = DISPATCH[b[o + 1]](b, o + 2, c, 0)
    if type(value) is not Error or end != len(b):
        raise FastPathError
    return code, value


# --- the slow reader --------------------------------------------------------------------------------------------------


class SlowFrameReader:
    """Reads one frame field by field and tracks the offset. Complete: returns the frame if it is valid."""

    def __init__(self, b: bytes, values: Decoder, names: dict[int, Atom]) -> None:
        self.b, self.values, self.names = b, values, names
        self.o = enp.HEADER_LENGTH

    def read(self) -> Any:
        """Returns the frame. Raises Rejected."""
        type_ = self.b[TYPE_AT]
        if type_ not in LAYOUTS:
            raise Rejected(Reason.UNKNOWN_FRAME, "", TYPE_AT, f"{type_}")
        parts: list[Any] = []
        for field, code in LAYOUTS[FrameType(type_)]:
            try:
                parts.append(self.part(code))
            except Rejected as refusal:
                dot = "" if refusal.path.startswith("[") or not refusal.path else "."
                path = f"{FrameType(type_).name}.{field}{dot}{refusal.path}"
                raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None
        if self.o != len(self.b):
            raise Rejected(Reason.LEFTOVER, "", self.o, f"{len(self.b) - self.o} bytes")
        return make_frame(FrameType(type_), self.b[ORDER_AT], parts)

    def part(self, code: str) -> Any:
        """Reads the next field."""
        match code:
            case "W":
                return tuple(self.number("Q") for _ in range(3))
            case "N":
                return self.values.tables.atoms[self.take(self.number("B"))]
            case "C":
                return self.cached()
            case "S":
                return self.take(len(self.b) - self.o)
            case "O":
                start = self.o
                what = self.number("B")
                if what not in enp.CODES:
                    raise Rejected(Reason.UNEXPECTED, "", start, f"code {what}")
                return what, (self.value(Error) if what == enp.Code.OTHER else None)
            case "V":
                return self.value()
            case "E":
                return self.value(Error)
            case "M":
                return self.value(*CONTROL_CLASSES)
        return self.number(code)

    def take(self, n: int) -> bytes:
        """Reads n bytes."""
        raw = self.b[self.o : self.o + n]
        if len(raw) != n:
            raise Rejected(Reason.END_OF_DATA, "", self.o, f"{n} bytes needed, {len(raw)} left")
        self.o += n
        return raw

    def number(self, code: str) -> int:
        """Reads a number."""
        return int.from_bytes(self.take(packed_size(code)), "big", signed=code.islower())

    def cached(self) -> Atom:
        """Reads the id of a cached name; returns the name."""
        start = self.o
        id_ = int.from_bytes(self.take(2), "big")
        if id_ not in self.names:
            raise Rejected(Reason.UNKNOWN_ID, "", start, f"atom {id_}")
        return self.names[id_]

    def value(self, *classes: type) -> Any:
        """Reads an EDF value. Raises Rejected if classes are given and the value belongs to none of them."""
        start = self.o
        value, self.o = self.values.decode_prefix(self.b, start)
        if classes and type(value) not in classes:
            raise Rejected(Reason.UNEXPECTED, "", start, f"{type(value).__name__} is not allowed here")
        return value


def check_header(b: bytes) -> int:
    """Returns the length field of a header. Raises Rejected if the header is invalid or the frame is incomplete."""
    for at, (name, byte) in enumerate((("magic", enp.MAGIC), ("version", enp.VERSION))):
        if b[at : at + 1] not in (b"", bytes([byte])):
            raise Rejected(Reason.MAGIC, name, at, f"{b[at]}, expected {byte}")
    if len(b) < ORDER_AT:
        raise Rejected(Reason.END_OF_DATA, "", min(len(b), 2), f"{enp.HEADER_LENGTH} bytes needed, {len(b)} left")
    length = int.from_bytes(b[2:ORDER_AT], "big")
    if length < enp.HEADER_LENGTH:
        raise Rejected(Reason.LENGTH, "length", 2, f"{length}, minimum {enp.HEADER_LENGTH}")
    if length > len(b):
        raise Rejected(Reason.END_OF_DATA, "", ORDER_AT, f"a frame of {length} bytes, {len(b)} left")
    return length


def make_frame(type_: FrameType, order: int, parts: list[Any]) -> Any:
    """Returns a frame with the given fields; an outcome (layout code O) is two fields of it."""
    if LAYOUTS[type_][-1][1] == "O":
        *parts, outcome = parts
        parts += outcome
    return enp.CLASSES[type_](order, *parts)


# --- generated writers ------------------------------------------------------------------------------------------------


@cache
def generate_writer(type_: FrameType) -> FrameWriter:
    """Returns `write(f, edf, ids, mapping)`, which returns the bytes of frame `f`."""
    source = FunctionSource("def write(f, edf, ids, mapping):")
    fields = LAYOUTS[type_]
    names = [source.fresh("x") for _ in fields] + ["error"] * (fields[-1][1] == "O")
    source.add(f"order, {', '.join(names)}, = f")
    codes, values = "BBIBB", [f"{enp.MAGIC}", f"{enp.VERSION}", "size", "order", f"{int(type_)}"]
    pieces: list[str] = []
    for name, (_, code) in zip(names, fields, strict=False):
        match code:
            case "N":
                source.add(f"n = {source.constant('name', _encode_name)}({name}, mapping)")
                pieces.append("n")
            case "C":
                codes, values = codes + "H", [*values, f"{source.constant('id', _id_of)}({name}, ids)"]
            case "V" | "M" | "E":
                if code in _CHECKS:
                    source.add(f"if {_check(source, code, name)}: raise {source.constant('Failed', FastPathError)}")
                source.add(f"p = edf({name})")
                pieces.append("p")
            case "O":
                source.add(f"p = {source.constant('outcome', _encode_outcome)}({name}, error, edf)")
                pieces.append("p")
            case "S":
                pieces.append(name)
            case _:
                codes += FIXED_WIDTH_CODES[code]
                values.append(f"*{name}" if code == "W" else name)
    source.add(f"size = {packed_size(codes)}" + "".join(f" + len({piece})" for piece in pieces))
    pack = source.struct_method("pack", codes)
    head = f"{pack}({', '.join(values)})"
    source.add(f"return {' + '.join([head, *pieces])}")
    return source.compile("write", type_.name)


def _encode_name(name: Atom, mapping: Mapping[Atom, Atom]) -> bytes:
    text = text_to_bytes(mapping.get(name, name))
    if len(text) > enp.MAX_NAME:
        raise CannotEncode(f"name of {len(text)} bytes, maximum {enp.MAX_NAME}")
    return bytes([len(text)]) + text


def _id_of(name: Atom, ids: dict[Atom, int]) -> int:
    if name not in ids:
        raise CannotEncode(f"{name!r} is not in the atom cache")
    return ids[name]


def _encode_outcome(code: int, error: Error | None, edf: Callable[[Any], bytes]) -> bytes:
    if code not in enp.CODES or (code == enp.Code.OTHER) is not (type(error) is Error):
        raise CannotEncode(f"code {code} does not allow error {error!r}")
    return bytes([code]) + (edf(error) if error is not None else b"")


# --- decoder and encoder -----------------------------------------------------------------------------------------------


def _refuse_unknown_type(b: bytes, c: DecodeTables, names: dict[int, Atom]) -> Any:  # noqa: ARG001  one signature for all
    raise FastPathError


class FrameDecoder:
    """Reads the frames of one peer, with the peer's caches and our registry."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.values = Decoder(registry, caches)
        self.tables = self.values.tables
        self.names = self.tables.atom_ids
        self._readers: list[FrameReader] = [_refuse_unknown_type] * 256
        for type_ in LAYOUTS:
            self._readers[type_] = generate_reader(type_)

    def read(self, frame: bytes) -> Frame:
        """Reads one frame including its header. Raises Rejected, also for trailing bytes."""
        length = check_header(frame)
        value = self.read_framed(frame[:length])
        if length < len(frame):
            raise Rejected(Reason.LEFTOVER, "", length, f"{len(frame) - length} bytes")
        return value

    def read_framed(self, frame: bytes) -> Frame:
        """Reads one frame whose header the Framer has checked. Raises Rejected."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            return self._readers[frame[TYPE_AT]](frame, tables, self.names)  # type: ignore[no-any-return]
        except _READ_ERRORS:
            return SlowFrameReader(frame, self.values, self.names).read()  # type: ignore[no-any-return]


class FrameEncoder:
    """Writes frames for one peer, with the caches that we announced and our registry."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.values = Encoder(registry, caches)
        ids = {atom: id_ for id_, atom in caches.atoms.items()}
        self.mapping = caches.atom_mapping
        self.ids = {atom: id_ for atom, id_ in ids.items() if atom not in self.mapping}
        """Ids of the names that are sent as ids. A mapped name has the id of the name that it is mapped to."""
        self.ids |= {local: ids[remote] for local, remote in self.mapping.items() if remote in ids}
        self._writers = {cls: generate_writer(type_) for type_, cls in enp.CLASSES.items()}

    def write(self, frame: Frame) -> bytes:
        """Returns the bytes of a frame. Raises CannotEncode."""
        try:
            return self._writers[type(frame)](frame, self.values.encode, self.ids, self.mapping)
        except (AttributeError, *FAST_PATH_ERRORS) as error:
            raise CannotEncode(f"{type(frame).__name__}: {str(error) or 'invalid field'}") from None
