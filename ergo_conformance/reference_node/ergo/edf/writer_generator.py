"""Generator of the fast writers, one function per type.

A generated function `write(v, out, c)` takes the value, the list of pieces written so far, and the connection's tables; it
returns the last piece, which for most values is the only one. Like the fast reader it reports no reason for a failure:
slow_writer.py then writes the same value step by step and names the part that cannot be encoded, or writes the values that
are nested deeper than Python recurses.
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
from .function_source import MAX_INLINE_LOOPS, MAX_STRUCT_ARRAY, FunctionSource
from .runtime import FastPathError, as_bytes, error_body, pack_numbers, refuse_bool
from .tables import EncodeTables, Pieces, Writer
from .times import write_time
from .type_properties import STRUCT_CODES, base_of, marker_of

INLINE_CLASSES: Final = (str, int, bool, float, Atom, bytes)
"""Most frequent classes in `any` slots. Inside a loop they are written inline, all others through the table of classes."""

TRUE: Final = b"\1"
FALSE: Final = b"\0"
_NIL: Final = bytes([Tag.NIL])


def constant_bytes(codes: str, values: list[str]) -> bytes | None:
    """Returns the bytes of fields that are all constant (tags and markers); None if one is not."""
    if all(code == "B" and value.isdecimal() for code, value in zip(codes, values, strict=True)):
        return bytes(map(int, values))
    return None


class PendingText(NamedTuple):
    """A text that is not emitted until the fixed fields after it are known."""

    codes: str  # struct codes of the fixed fields before it
    values: list[str]
    raw: str


class WriterGenerator:
    """Generates the body of a writer. `pieces` collects the output; adjacent fixed fields are one pack."""

    def __init__(self, registry: Registry, writer_of: Callable[[Type], Writer], source: FunctionSource) -> None:
        self.registry = registry
        self.writer_of = writer_of
        self.source = source
        self.pieces: list[str] = []
        self.pending_text: PendingText | None = None
        self.run: list[tuple[str, str]] = []  # struct code, expression
        self.loops = 0
        self.body = 0  # line at which the body of the innermost loop begins

    def fixed(self, code: str, expression: str) -> None:
        self.run.append((code, expression))

    def piece(self, expression: str) -> None:
        self.end_run()
        self.pieces.append(expression)

    def end_run(self) -> None:
        """Makes one piece of the pending text and the fixed fields after it."""
        codes = "".join(code for code, _ in self.run)
        values = [value for _, value in self.run]
        text, self.pending_text, self.run = self.pending_text, None, []
        if text:
            self.pieces.append(self.text_piece(text, codes, values))
        elif codes:
            self.pieces.append(self.fixed_piece(codes, values))

    def fixed_piece(self, codes: str, values: list[str]) -> str:
        """Returns the expression of fixed fields: constant bytes, a choice of two constants for a bool, or a pack."""
        constant = constant_bytes(codes, values)
        if constant is not None:
            return repr(constant)
        constant = constant_bytes(codes[:-1], values[:-1])
        if constant is not None and codes[-1] == "?":
            return f"({constant + TRUE!r} if {values[-1]} else {constant + FALSE!r})"
        return f"{self.source.struct_method('pack', codes)}({', '.join(values)})"

    def text_piece(self, text: PendingText, codes: str, values: list[str]) -> str:
        """Returns the expression of a text and the fixed fields around it: one pack, by a Struct for this length.

        A text with only constant bytes before it needs no Struct: its head is looked up by length.
        """
        constant = constant_bytes(text.codes, text.values)
        if constant is not None and not codes:
            return f"{self.source.text_heads(constant)}[len({text.raw})] + {text.raw}"
        table, n = self.source.text_packers(text.codes + "H", codes), self.local(f"len({text.raw})")
        return f"{table}[{n}]({', '.join([*text.values, n, text.raw, *values])})"

    def string(self, v: str) -> None:
        raw = self.local(f"{v}.encode('utf-8', 'surrogateescape')")
        run, self.run = self.run, []
        self.end_run()
        self.pending_text = PendingText("".join(code for code, _ in run), [value for _, value in run], raw)

    def end(self) -> None:
        """Emits the return of the last piece."""
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
        """Unpacks a tuple into n names; unpacking checks the number."""
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
        """Writes a value with its descriptor; inside a loop the most frequent classes without a call."""
        add = self.source.add
        if not self.loops:
            add(f"out.append(c.dynamic[type({v})]({v}, out, c))")
            return
        cls = self.local(f"type({v})")
        for branch, class_ in zip(chain(["if"], repeat("elif")), INLINE_CLASSES, strict=False):
            type_, name = INFERRED_TYPES[class_], class_.__name__
            assert isinstance(type_, Scalar)
            if class_ is Atom:  # nil is more frequent than the classes after it
                add(f"elif {v} is None: out.append({_NIL!r})")
                name = self.source.constant("Atom", Atom)
            add(f"{branch} {cls} is {name}:")
            self.source.indent()
            self.fixed("B", str(int(type_.tag)))
            if class_ is bool:  # the class is known: no check needed
                self.fixed("?", v)
            else:
                self.scalar(type_, v)
            self.flush()
            self.source.indent(-1)
        add("else:")
        add(f"    out.append(c.dynamic[{cls}]({v}, out, c))")

    def binary(self, v: str) -> None:
        """Writes length and bytes."""
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
                refuse = self.source.constant("refuse_bool", refuse_bool)
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
        if len(self.source.lines) == self.body:  # items without bytes
            self.source.add("pass")
        self.loops -= 1
        self.source.indent(-1)


def generate_writer(
    type_: Type, registry: Registry, writer_of: Callable[[Type], Writer], *, dynamic: bool = False
) -> Writer:
    """Returns the fast writer of a type in a typed slot, or (`dynamic`) preceded by its descriptor."""
    source = FunctionSource("def write(v, out, c):")
    generator = WriterGenerator(registry, writer_of, source)
    if dynamic and isinstance(type_, Scalar):
        generator.fixed("B", str(int(type_.tag)))
    elif dynamic:
        generator.piece(f"c.descriptors[{source.constant('type', type_)}]")
    generator.value(type_, "v")
    generator.end()
    return source.compile("write", ("any " if dynamic else "") + t.describe(type_))


# --- values with descriptor --------------------------------------------------------------------------------------------


def _nil(v: None, out: Pieces, c: EncodeTables) -> bytes:  # noqa: ARG001  one signature for all
    return _NIL


def _typed(v: Typed, out: Pieces, c: EncodeTables) -> bytes:
    if v.value is None and v.type is t.ERROR:
        return _NIL
    if v.type is t.ANY:
        raise FastPathError
    return c.dynamic_writer(v.type)(v.value, out, c)


def _unused(type_: Type) -> Writer:
    raise TypeError(f"a scalar contains no {t.describe(type_)}")


DYNAMIC_SCALAR_WRITERS: Final[dict[type, Writer]] = {
    cls: generate_writer(type_, Registry(), _unused, dynamic=True)
    for cls, type_ in INFERRED_TYPES.items()
    if isinstance(type_, Scalar)
}
DYNAMIC_SCALAR_WRITERS[type(None)] = _nil
DYNAMIC_SCALAR_WRITERS[Typed] = _typed
"""Writers (with descriptor) of nil, Typed and the classes whose type is a scalar, by class."""
