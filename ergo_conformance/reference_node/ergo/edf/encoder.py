"""The fast writer: one generated function per type.

A generated function `write(v, out, c)` takes the value, the list of pieces written so far, and the connection's tables; it
returns the last piece, which for most values is the only one.  Like the fast reader it only succeeds or fails; `spell.py`
then writes the same value step by step and names what can't be encoded, or delivers what is nested too deep for Python's
recursion.
"""

from collections.abc import Callable
from itertools import chain, repeat
from typing import Final, NamedTuple

from ....errors import CannotEncode
from ....model import types as t
from ....model.ergo.edf import Tag
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Marshaler, Registry, Struct
from ....model.types import AnyType, Array, Map, Scalar, Slice, Type
from ....model.values import Atom, Typed
from .runtime import FailedError, Out, Write, as_bytes, error_body, not_bool, pack_numbers
from .shapes import STRUCT_CODES, base_of, marker_of
from .source import Source
from .tables import EncodeTables
from .times import write_time

MAX_INLINE_LOOPS: Final = 2
MAX_STRUCT_ARRAY: Final = 64
IN_PLACE: Final = (str, int, bool, float, Atom, bytes)
"""What most `any` slots hold. Inside a loop these are written in place, all else by way of the table of classes."""

TRUE: Final = b"\1"
FALSE: Final = b"\0"
_NIL: Final = bytes([Tag.NIL])


def known_bytes(codes: str, values: list[str]) -> bytes | None:
    """The bytes of fields that are known beforehand: tags and markers."""
    if all(code == "B" and value.isdecimal() for code, value in zip(codes, values, strict=True)):
        return bytes(map(int, values))
    return None


class Text(NamedTuple):
    """A text that waits for the fixed fields behind it."""

    codes: str  # of the fixed fields before it
    values: list[str]
    raw: str


class EncoderEmitter:
    """Writes the body of a writer. Pieces of output gather in `pieces`; fixed fields next to each other are one pack."""

    def __init__(self, registry: Registry, writer_of: Callable[[Type], Write], source: Source) -> None:
        self.registry = registry
        self.writer_of = writer_of
        self.source = source
        self.pieces: list[str] = []
        self.waiting: Text | None = None
        self.run: list[tuple[str, str]] = []  # struct code, expression
        self.loops = 0
        self.body = 0  # where the innermost loop's begins

    def fixed(self, code: str, expression: str) -> None:
        self.run.append((code, expression))

    def piece(self, expression: str) -> None:
        self.end_run()
        self.pieces.append(expression)

    def end_run(self) -> None:
        """A piece of the last text and the fixed fields behind it."""
        codes = "".join(code for code, _ in self.run)
        values = [value for _, value in self.run]
        text, self.waiting, self.run = self.waiting, None, []
        if text:
            self.pieces.append(self.text_piece(text, codes, values))
        elif codes:
            self.pieces.append(self.fixed_piece(codes, values))

    def fixed_piece(self, codes: str, values: list[str]) -> str:
        """The expression of fixed fields: bytes where they are known, a choice of two for a bool, else a pack."""
        known = known_bytes(codes, values)
        if known is not None:
            return repr(known)
        known = known_bytes(codes[:-1], values[:-1])
        if known is not None and codes[-1] == "?":
            return f"({known + TRUE!r} if {values[-1]} else {known + FALSE!r})"
        return f"{self.source.struct_method('pack', codes)}({', '.join(values)})"

    def text_piece(self, text: Text, codes: str, values: list[str]) -> str:
        """A text and the fixed fields around it are one pack, by a Struct for just this length. A text by itself needs
        none: what stands before it is kept by length too.
        """
        known = known_bytes(text.codes, text.values)
        if known is not None and not codes:
            return f"{self.source.text_heads(known)}[len({text.raw})] + {text.raw}"
        table, n = self.source.text_packers(text.codes + "H", codes), self.local(f"len({text.raw})")
        return f"{table}[{n}]({', '.join([*text.values, n, text.raw, *values])})"

    def string(self, v: str) -> None:
        raw = self.local(f"{v}.encode('utf-8', 'surrogateescape')")
        run, self.run = self.run, []
        self.end_run()
        self.waiting = Text("".join(code for code, _ in run), [value for _, value in run], raw)

    def end(self) -> None:
        """The last piece is returned."""
        self.end_run()
        self.source.add(f"return {' + '.join(self.pieces) or repr(b'')}")
        self.pieces = []

    def flush(self) -> None:
        self.end_run()
        if self.pieces:
            self.source.add(f"out.append({' + '.join(self.pieces)})")
            self.pieces = []

    def local(self, expression: str) -> str:
        if expression.isidentifier():
            return expression
        name = self.source.fresh("v")
        self.source.add(f"{name} = {expression}")
        return name

    def unpacked(self, v: str, n: int) -> list[str]:
        """Names of the n parts of a tuple; unpacking checks the number."""
        names = [self.source.fresh("x") for _ in range(n)]
        self.source.add(f"[{', '.join(names)}] = {v}")
        return names

    # --- types --------------------------------------------------------------------------------------------------------

    def value(self, type_: Type, v: str) -> None:
        base = base_of(type_, self.registry)
        match base:
            case Scalar():
                self.scalar(base, v)
            case AnyType():
                self.flush()
                self.any(self.local(v))
            case Struct():
                for (_, field), name in zip(base.fields, self.unpacked(v, len(base.fields)), strict=True):
                    self.value(field, name)
            case Marshaler():
                self.binary(v)
            case Array():
                self.array(base, v)
            case Slice() | Map():
                if self.loops >= MAX_INLINE_LOOPS:
                    self.call(type_, v)
                else:
                    self.container(type_, v)

    def any(self, v: str) -> None:
        """Inside a loop the commonest kinds of value are spared the call."""
        add = self.source.add
        if not self.loops:
            add(f"out.append(c.dynamic[type({v})]({v}, out, c))")
            return
        cls = self.local(f"type({v})")
        for branch, class_ in zip(chain(["if"], repeat("elif")), IN_PLACE, strict=False):
            type_, name = INFERRED_TYPES[class_], class_.__name__
            assert isinstance(type_, Scalar)
            if class_ is Atom:  # nil is more frequent than what follows
                add(f"elif {v} is None: out.append({_NIL!r})")
                name = self.source.constant("Atom", Atom)
            add(f"{branch} {cls} is {name}:")
            self.source.indent()
            self.fixed("B", str(int(type_.tag)))
            if class_ is bool:  # and nothing else: no check
                self.fixed("?", v)
            else:
                self.scalar(type_, v)
            self.flush()
            self.source.indent(-1)
        add("else:")
        add(f"    out.append(c.dynamic[{cls}]({v}, out, c))")

    def binary(self, v: str) -> None:
        """A length and the bytes."""
        name = self.local(v)
        self.source.add(f"if type({name}) is not bytes: {name} = {self.source.constant('as_bytes', as_bytes)}({name})")
        self.fixed("I", f"len({name})")
        self.piece(name)

    def scalar(self, type_: Scalar, v: str) -> None:
        code = STRUCT_CODES.get(type_)
        if code:
            self.fixed(code, v)
            return
        match type_.tag:
            case Tag.BOOL:
                refuse = self.source.constant("not_bool", not_bool)
                self.fixed("?", f"({v} is True or {v} is not False and {refuse}())")
            case Tag.STRING:
                self.string(v)
            case Tag.BINARY:
                self.binary(v)
            case Tag.ATOM:
                self.piece(f"c.atoms[{v}]")
            case Tag.ERROR:
                self.piece(f"{self.source.constant('error_body', error_body)}({v}, c)")
            case Tag.TIME:
                self.piece(f"{self.source.constant('write_time', write_time)}({v})")
            case Tag.PID:
                node, number, creation = self.unpacked(v, 3)
                self.piece(f"c.atoms[{node}]")
                self.fixed("Q", number)
                self.fixed("q", creation)
            case Tag.PROCESS_ID | Tag.EVENT:
                node, name = self.unpacked(v, 2)
                self.piece(f"c.atoms[{node}]")
                self.piece(f"c.atoms[{name}]")
            case Tag.ALIAS | Tag.REF:
                node, creation, words = self.unpacked(v, 3)
                self.piece(f"c.atoms[{node}]")
                self.fixed("q", creation)
                for word in self.unpacked(words, 3):
                    self.fixed("Q", word)

    # --- containers ---------------------------------------------------------------------------------------------------

    def call(self, type_: Type, v: str) -> None:
        self.flush()
        self.source.add(f"out.append({self.source.constant('write', self.writer_of(type_))}({v}, out, c))")

    def array(self, type_: Array, v: str) -> None:
        code = STRUCT_CODES.get(type_.item)
        if code and 0 < type_.length <= MAX_STRUCT_ARRAY:
            for item in self.unpacked(v, type_.length):
                self.fixed(code, item)
            return
        if self.loops >= MAX_INLINE_LOOPS:
            self.call(type_, v)
            return
        self.flush()
        name = self.local(v)
        failed = self.source.constant("CannotEncode", CannotEncode)
        self.source.add(f"if len({name}) != {type_.length}: raise {failed}('wrong number of items')")
        if code:
            self.piece(f"{self.source.constant('pack_numbers', pack_numbers)}({name}, {code!r})")
        else:
            self.loop(name, type_.item)

    def container(self, type_: Type, v: str) -> None:
        base, add = base_of(type_, self.registry), self.source.add
        self.flush()
        name = self.local(v)
        add(f"if {name} is None:")
        add(f"    out.append({_NIL!r})")
        add("else:")
        self.source.indent()
        self.fixed("B", str(int(marker_of(type_))))
        self.fixed("I", f"len({name})")
        if isinstance(base, Map):
            self.flush()
            key, value = self.source.fresh("k"), self.source.fresh("x")
            self.open_loop(f"{key}, {value}", f"{name}.items()")
            if base.key is t.STRING:
                self.source.add(f"try: out.append(c.keys[{key}])")
                self.source.add(f"except KeyError: out.append(c.new_key({key}))")
            else:
                self.value(base.key, key)
            self.value(base.value, value)
            self.close_loop()
        else:
            assert isinstance(base, Slice)
            code = "?" if base.item is t.BOOL else STRUCT_CODES.get(base.item)
            if code:
                self.piece(f"{self.source.constant('pack_numbers', pack_numbers)}({name}, {code!r})")
                self.flush()
            else:
                self.flush()
                self.loop(name, base.item)
        self.source.indent(-1)

    def loop(self, name: str, item: Type) -> None:
        x = self.source.fresh("x")
        self.open_loop(x, name)
        self.value(item, x)
        self.close_loop()

    def open_loop(self, targets: str, iterable: str) -> None:
        self.source.add(f"for {targets} in {iterable}:")
        self.source.indent()
        self.loops += 1
        self.body = len(self.source.lines)

    def close_loop(self) -> None:
        self.flush()
        if len(self.source.lines) == self.body:  # items without a byte
            self.source.add("pass")
        self.loops -= 1
        self.source.indent(-1)


def generate(type_: Type, registry: Registry, writer_of: Callable[[Type], Write], *, dynamic: bool = False) -> Write:
    """The fast writer of values of a type in a typed slot, or `dynamic`: with its descriptor before it."""
    source = Source("def write(v, out, c):")
    emitter = EncoderEmitter(registry, writer_of, source)
    if dynamic and isinstance(type_, Scalar):
        emitter.fixed("B", str(int(type_.tag)))
    elif dynamic:
        emitter.piece(f"c.descriptors[{source.constant('type', type_)}]")
    emitter.value(type_, "v")
    emitter.end()
    return source.compile("write", ("any " if dynamic else "") + t.describe(type_))


# --- values that bring their type -------------------------------------------------------------------------------------


def _nil(v: None, out: Out, c: EncodeTables) -> bytes:  # noqa: ARG001  one signature for all
    return _NIL


def _typed(v: Typed, out: Out, c: EncodeTables) -> bytes:
    if v.value is None and v.type is t.ERROR:
        return _NIL
    if v.type is t.ANY:
        raise FailedError
    return c.dynamic_writer(v.type)(v.value, out, c)


def _unused(type_: Type) -> Write:
    raise TypeError(f"{t.describe(type_)} in a scalar")


SELF_TELLING: Final[dict[type, Write]] = {
    cls: generate(type_, Registry(), _unused, dynamic=True)
    for cls, type_ in INFERRED_TYPES.items()
    if isinstance(type_, Scalar)
}
SELF_TELLING[type(None)] = _nil
SELF_TELLING[Typed] = _typed
"""Writers of the scalars that tell their type, by class."""
