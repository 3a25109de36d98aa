"""Frames to bytes and back: one generated function per frame type, and a slow reader that explains a refusal."""

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
from .layouts import LAYOUTS, STRUCT

TYPE_AT: Final = enp.HEADER_LENGTH - 1
ORDER_AT: Final = enp.HEADER_LENGTH - 2
CONTROL_CLASSES: Final = frozenset(row.value_class for row in enp.CONTROL)
_CHECKS: Final[Mapping[str, frozenset[type]]] = {"E": frozenset({Error}), "M": CONTROL_CLASSES}
"""Codes whose values have to be of certain classes."""

_REFUSED: Final = (*FAST_PATH_ERRORS, Rejected)  # Rejected: from a descriptor, without a path

Read = Callable[[bytes, DecodeTables, dict[int, Atom]], Any]
Write = Callable[[Any, Callable[[Any], bytes], dict[Atom, int], Mapping[Atom, Atom]], bytes]


# --- generated readers ------------------------------------------------------------------------------------------------


@cache
def reader(type_: FrameType) -> Read:
    """`read(b, c, names)`: the frame that `b` is. It only succeeds or fails; `Explainer` knows why."""
    source = FunctionSource("def read(b, c, names):")
    at, parts = _read_fixed(source, LAYOUTS[type_])
    names, tail = _read_tail(source, LAYOUTS[type_], at)
    new, cls = source.constant("new", tuple.__new__), source.constant("cls", enp.CLASSES[type_])
    values = ", ".join(part for part in (*parts, *names, *tail))
    source.add(f"return {new}({cls}, (b[{ORDER_AT}], {values},))")
    return source.compile("read", type_.name)


def _read_fixed(source: FunctionSource, fields: tuple[tuple[str, str], ...]) -> tuple[int, list[str]]:
    """Reads the run of fields of fixed width; where it ends, and the expressions of the fields in it."""
    codes, names, parts = "", [], []
    for _, code in fields:
        if code not in STRUCT or code == "C":
            break
        fresh = [source.fresh("x") for _ in STRUCT[code]]
        codes += STRUCT[code]
        names += fresh
        parts.append(fresh[0] if len(fresh) == 1 else f"({', '.join(fresh)})")
    if names:
        unpack = source.struct_method("unpack_from", codes)
        source.add(f"{', '.join(names)}, = {unpack}(b, {enp.HEADER_LENGTH})")
    return enp.HEADER_LENGTH + packed_size(codes), parts


def _read_tail(source: FunctionSource, fields: tuple[tuple[str, str], ...], at: int) -> tuple[list[str], list[str]]:
    """Reads a name, and what stands up to the end of the frame."""
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
            return names, [f"*{source.constant('outcome', _outcome)}(b, {here}, c)"]
    _read_value(source, here)
    if codes[-1] in _CHECKS:
        source.add(f"if {_check(source, codes[-1], 'v')}: raise {source.constant('Failed', FastPathError)}")
    return names, ["v"]


def _read_value(source: FunctionSource, here: str) -> None:
    source.add(f"v, end = {source.constant('DISPATCH', DISPATCH)}[b[{here}]](b, {here} + 1, c, 0)")
    source.add(f"if end != len(b): raise {source.constant('Failed', FastPathError)}")


def _check(source: FunctionSource, code: str, value: str) -> str:
    """An expression that is true if a value is not of a class that this code allows."""
    return f"type({value}) not in {source.constant('allowed', _CHECKS[code])}"


def _outcome(b: bytes, o: int, c: DecodeTables) -> Any:
    """Code and error of a ResponseError."""
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


class Explainer:
    """Reads one frame field by field, each with its offset. Complete: what it can read, it delivers."""

    def __init__(self, b: bytes, values: Decoder, names: dict[int, Atom]) -> None:
        self.b, self.values, self.names = b, values, names
        self.o = enp.HEADER_LENGTH

    def read(self) -> Any:
        """The frame. Raises Rejected."""
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
        return made(FrameType(type_), self.b[ORDER_AT], parts)

    def part(self, code: str) -> Any:
        """The next field."""
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
        """The next n bytes."""
        raw = self.b[self.o : self.o + n]
        if len(raw) != n:
            raise Rejected(Reason.END_OF_DATA, "", self.o, f"{n} bytes needed, {len(raw)} left")
        self.o += n
        return raw

    def number(self, code: str) -> int:
        """The next number."""
        return int.from_bytes(self.take(packed_size(code)), "big", signed=code.islower())

    def cached(self) -> Atom:
        """The name behind an id."""
        start = self.o
        id_ = int.from_bytes(self.take(2), "big")
        if id_ not in self.names:
            raise Rejected(Reason.UNKNOWN_ID, "", start, f"atom {id_}")
        return self.names[id_]

    def value(self, *classes: type) -> Any:
        """The next EDF value, which has to be of one of these classes if any are given."""
        start = self.o
        value, self.o = self.values.decode_prefix(self.b, start)
        if classes and type(value) not in classes:
            raise Rejected(Reason.UNEXPECTED, "", start, f"{type(value).__name__} does not belong here")
        return value


def check_header(b: bytes) -> int:
    """The length that a header states. Refuses a header whose frame is not there."""
    for at, (name, byte) in enumerate((("magic", enp.MAGIC), ("version", enp.VERSION))):
        if b[at : at + 1] not in (b"", bytes([byte])):
            raise Rejected(Reason.MAGIC, name, at, f"{b[at]} where {byte} belongs")
    if len(b) < ORDER_AT:
        raise Rejected(Reason.END_OF_DATA, "", min(len(b), 2), f"{enp.HEADER_LENGTH} bytes needed, {len(b)} are there")
    length = int.from_bytes(b[2:ORDER_AT], "big")
    if length < enp.HEADER_LENGTH:
        raise Rejected(Reason.LENGTH, "length", 2, f"{length}, at least {enp.HEADER_LENGTH} are needed")
    if length > len(b):
        raise Rejected(Reason.END_OF_DATA, "", ORDER_AT, f"a frame of {length} bytes, {len(b)} are there")
    return length


def made(type_: FrameType, order: int, parts: list[Any]) -> Any:
    """A frame of its fields; an outcome is two of them."""
    if type_ is FrameType.RESPONSE_ERROR:
        *parts, outcome = parts
        parts += outcome
    return enp.CLASSES[type_](order, *parts)


# --- generated writers ------------------------------------------------------------------------------------------------


@cache
def writer(type_: FrameType) -> Write:
    """`write(f, edf, ids, mapping)`: the bytes of frame `f`."""
    source = FunctionSource("def write(f, edf, ids, mapping):")
    fields = LAYOUTS[type_]
    names = [source.fresh("x") for _ in fields] + ["error"] * (fields[-1][1] == "O")
    source.add(f"order, {', '.join(names)}, = f")
    codes, values = "BBIBB", [f"{enp.MAGIC}", f"{enp.VERSION}", "size", "order", f"{int(type_)}"]
    pieces: list[str] = []
    for name, (_, code) in zip(names, fields, strict=False):
        match code:
            case "N":
                source.add(f"n = {source.constant('name', _name_bytes)}({name}, mapping)")
                pieces.append("n")
            case "C":
                codes, values = codes + "H", [*values, f"{source.constant('id', _id_of)}({name}, ids)"]
            case "V" | "M" | "E":
                if code in _CHECKS:
                    source.add(f"if {_check(source, code, name)}: raise {source.constant('Failed', FastPathError)}")
                source.add(f"p = edf({name})")
                pieces.append("p")
            case "O":
                source.add(f"p = {source.constant('outcome', _outcome_bytes)}({name}, error, edf)")
                pieces.append("p")
            case "S":
                pieces.append(name)
            case _:
                codes += STRUCT[code]
                values.append(f"*{name}" if code == "W" else name)
    source.add(f"size = {packed_size(codes)}" + "".join(f" + len({piece})" for piece in pieces))
    pack = source.struct_method("pack", codes)
    head = f"{pack}({', '.join(values)})"
    source.add(f"return {' + '.join([head, *pieces])}")
    return source.compile("write", type_.name)


def _name_bytes(name: Atom, mapping: Mapping[Atom, Atom]) -> bytes:
    text = text_to_bytes(mapping.get(name, name))
    if len(text) > enp.MAX_NAME:
        raise CannotEncode(f"name of {len(text)} bytes, at most {enp.MAX_NAME} are possible")
    return bytes([len(text)]) + text


def _id_of(name: Atom, ids: dict[Atom, int]) -> int:
    if name not in ids:
        raise CannotEncode(f"{name!r} is not in the atom cache")
    return ids[name]


def _outcome_bytes(code: int, error: Error | None, edf: Callable[[Any], bytes]) -> bytes:
    if code not in enp.CODES or (code == enp.Code.OTHER) is not (type(error) is Error):
        raise CannotEncode(f"code {code} and {error!r} do not go together")
    return bytes([code]) + (edf(error) if error is not None else b"")


# --- doors ------------------------------------------------------------------------------------------------------------


def _unknown(b: bytes, c: DecodeTables, names: dict[int, Atom]) -> Any:  # noqa: ARG001  one signature for all
    raise FastPathError


class FrameDecoder:
    """Reads frames that one sender wrote: its caches, our registry."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.values = Decoder(registry, caches)
        self.tables = self.values.tables
        local = {remote: local for local, remote in caches.atom_mapping.items()}
        self.names = {id_: local.get(atom, atom) for id_, atom in caches.atoms.items()}
        self._readers: list[Read] = [_unknown] * 256
        for type_ in LAYOUTS:
            self._readers[type_] = reader(type_)

    def read(self, frame: bytes) -> Frame:
        """The frame that these bytes are, header included. Raises Rejected."""
        length = check_header(frame)
        value = self.read_framed(frame[:length])
        if length < len(frame):
            raise Rejected(Reason.LEFTOVER, "", length, f"{len(frame) - length} bytes")
        return value

    def read_framed(self, frame: bytes) -> Frame:
        """The same for bytes whose header was checked when they were cut out of the stream."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            return self._readers[frame[TYPE_AT]](frame, tables, self.names)  # type: ignore[no-any-return]
        except _REFUSED:
            return Explainer(frame, self.values, self.names).read()  # type: ignore[no-any-return]


class FrameEncoder:
    """Writes frames for one receiver: our caches as we announced them, our registry."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.values = Encoder(registry, caches)
        ids = {atom: id_ for id_, atom in caches.atoms.items()}
        self.mapping = caches.atom_mapping
        self.ids = {atom: id_ for atom, id_ in ids.items() if atom not in self.mapping}
        """The names that go as ids. A name that is mapped goes as what it is mapped to."""
        self.ids |= {local: ids[remote] for local, remote in self.mapping.items() if remote in ids}
        self._writers = {cls: writer(type_) for type_, cls in enp.CLASSES.items()}

    def write(self, frame: Frame) -> bytes:
        """A frame as it goes over the wire. Raises CannotEncode."""
        try:
            return self._writers[type(frame)](frame, self.values.encode, self.ids, self.mapping)
        except (AttributeError, *FAST_PATH_ERRORS) as error:
            raise CannotEncode(
                f"{type(frame).__name__}: {str(error) or 'a field that does not belong there'}"
            ) from None
