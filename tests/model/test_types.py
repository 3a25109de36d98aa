"""Type descriptors are interned, immutable and described; rows, registries and profiles."""

import pickle
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import records
from ergo_conformance.model.ergo.edf import Tag
from ergo_conformance.model.inferred import INFERRED_TYPES, infer_type, to_any_slot
from ergo_conformance.model.json.types import row_from_json, type_from_json, type_to_json
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Row, Struct, attribute, is_nullable
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice, Type
from ergo_conformance.model.values import PID, Atom, Error, Typed


def class_of(row: Struct) -> Any:
    return row.value_class


class TestDescriptor:
    def test_equal_descriptors_are_one_object(self) -> None:
        assert Map(t.STRING, Slice(Array(2, Reg("#a")))) is Map(t.STRING, Slice(Array(2, Reg("#a"))))
        assert Array(2, t.INT8) is not Array(3, t.INT8)
        assert Slice(t.INT8) is not Slice(t.UINT8)
        assert t.AnyType() is ANY
        assert t.Scalar(Tag.INT8) is t.INT8

    def test_descriptor_is_immutable(self) -> None:
        for type_ in (t.INT8, ANY, Slice(t.INT8), Reg("#a")):
            with pytest.raises(AttributeError):
                type_.tag = 1

    def test_descriptor_is_hashable_at_any_depth(self) -> None:
        type_: Type = t.INT8
        for _ in range(5000):
            type_ = Slice(type_)
        assert {type_: 1}[Slice(type_.item)] == 1  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("type_", "text"),
        [
            (Map(t.STRING, Slice(t.INT32)), "map[string][]int32"),
            (Array(3, ANY), "[3]any"),
            (Map(Map(t.BOOL, t.PID), Reg("#x/Y")), "map[map[bool]pid]#x/Y"),
        ],
    )
    def test_descriptor_has_the_text_of_go(self, type_: Type, text: str) -> None:
        assert t.describe(type_) == text
        assert text in repr(type_)

    def test_a_long_text_is_cut(self) -> None:
        type_: Type = t.INT8
        for _ in range(2000):
            type_ = Slice(type_)
        assert t.describe(type_, 20) == "[]" * 10 + "…"

    def test_parts_of_a_descriptor_are_in_wire_order(self) -> None:
        inner = Map(t.BOOL, ANY)
        array = Array(2, inner)
        type_ = Map(t.STRING, array)
        assert [*t.preorder(type_)] == [type_, t.STRING, array, inner, t.BOOL, ANY]

    def test_every_scalar_has_its_name(self) -> None:
        assert {name: scalar.name for name, scalar in t.SCALARS.items()} == {name: name for name in t.SCALARS}

    def test_a_copy_is_the_same_object(self) -> None:
        assert pickle.loads(pickle.dumps(Slice(t.INT8))) is Slice(t.INT8)  # noqa: S301


class TestJson:
    @pytest.mark.parametrize(
        "wrong",
        [
            None, 5, "int9", "slice", {}, {"slise": "int8"}, {"array": ["3", "int8"]}, {"array": [3]}, {"map": "int8"}, [],
            {"nested": ["9e0001", 2, "int8"]}, {"nested": ["9f9d", 2, "int8"]}, {"nested": ["83", 1, "int8"]}, {"reg": 5},
        ],
        ids=repr,
    )  # fmt: skip
    def test_a_malformed_type_expression_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="not a"):
            type_from_json(wrong)

    def test_a_nested_expression_needs_no_deep_json(self) -> None:
        assert type_from_json({"nested": ["9d", 2, "int8"]}) is Slice(Slice(t.INT8))
        assert type_from_json({"nested": ["9e00000002", 2, "any"]}) is Array(2, Array(2, ANY))
        assert type_from_json({"nested": ["9f8d", 1, {"slice": "pid"}]}) is Map(t.STRING, Slice(t.PID))
        assert type_from_json({"nested": ["9f84", 1, "any"]}) is Map(ANY, ANY)
        assert type_to_json(type_from_json({"nested": ["9d", 1, "int8"]})) == {"slice": "int8"}

    @pytest.mark.parametrize(
        "wrong", [{"name": "#a"}, {"name": "#a", "kind": "strukt"}, {"name": "#a", "def": {"x": 1}}]
    )
    def test_a_malformed_row_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="not a"):
            row_from_json(wrong)


class TestStruct:
    @pytest.mark.parametrize("name", ["Name", "class", "_x", "a-b", "1st", "ñ", "None", "x y", "count"])
    def test_value_class_has_an_attribute_for_each_field(self, name: str) -> None:
        python = attribute(name)
        assert python == name or not name.isidentifier() or name in ("class", "_x", "None")
        row = Struct("#x/S", ((name, t.INT8),))
        assert getattr(class_of(row)(1), python) == 1

    @pytest.mark.parametrize("name", ["#x/Foo", "#x/Generic[int]", "#/", "#x/1", "#x/ünï", "#x/a.b-c"])
    def test_any_type_name_gives_a_class(self, name: str) -> None:
        assert class_of(Struct(name, (("A", t.INT8),)))(1) == (1,)

    @pytest.mark.parametrize("name", ["#main/class", "#main/None", "#main/pass", "#x/²"])
    def test_a_type_name_that_is_not_a_python_identifier_gives_a_class(self, name: str) -> None:
        assert class_of(Struct(name, (("A", t.INT8),)))(1) == (1,)

    def test_fields_with_equal_python_names_get_distinct_attributes(self) -> None:
        assert class_of(Struct("#x/S", (("a-b", t.INT8), ("a_b", t.INT8))))(1, 2) == (1, 2)


class TestRegistry:
    def test_a_name_registered_twice_is_refused(self) -> None:
        registry = Registry([Newtype("#a", t.INT8)])
        registry.add(Newtype("#a", t.INT8))
        assert len(registry) == 1
        for other in (Newtype("#a", t.INT16), Struct("#a", ()), Marshaler("#a")):
            with pytest.raises(ValueError, match="#a is already registered"):
                registry.add(other)

    def test_a_struct_is_found_by_its_class(self) -> None:
        row = Struct("#a", (("A", t.INT8),))
        registry = Registry([row])
        assert registry.of_class(row.value_class) is row
        assert registry.of_class(int) is None
        assert registry.get("#b") is None
        assert [*registry] == [row]

    @pytest.mark.parametrize(
        ("type_", "nullable"),
        [
            (Slice(t.INT8), True), (Map(t.INT8, t.INT8), True), (Array(1, t.INT8), False), (ANY, False), (t.ERROR, False),
            (Reg("#s"), True), (Reg("#m"), True), (Reg("#a"), False), (Reg("#i"), False), (Reg("#unknown"), False),
        ],
    )  # fmt: skip
    def test_slices_and_maps_may_be_nil(self, type_: Type, nullable: bool) -> None:
        rows: list[Row] = [
            Newtype("#s", Slice(t.INT8)), Newtype("#m", Map(t.INT8, t.INT8)), Newtype("#a", Array(1, t.INT8)),
            Newtype("#i", t.INT8),
        ]  # fmt: skip
        assert is_nullable(type_, Registry(rows)) is nullable


class TestProfiles:
    def test_3_0_lacks_the_types_added_in_3_1(self) -> None:
        old, new = ({row.name for row in records.framework(profile)} for profile in ("ergo-3.0", "ergo-3.1"))
        assert new - old == records.SINCE_3_1
        assert old <= new

    def test_3_0_has_its_own_layout_of_node_info(self) -> None:
        old, new = (records.framework(p).get("#ergo.services/ergo/gen/NodeInfo") for p in ("ergo-3.0", "ergo-3.1"))
        assert isinstance(old, Struct)
        assert isinstance(new, Struct)
        assert {name for name, _ in new.fields} - {name for name, _ in old.fields} == {"Cron"}
        assert [f for f in new.fields if f[0] != "Cron"] == [*old.fields]

    @pytest.mark.parametrize("profile", ["ergo-3.0", "ergo-3.1"])
    def test_every_type_that_a_row_uses_is_registered_before_it(self, profile: str) -> None:
        known: set[str] = set()
        for row in records.framework(profile):
            used = [kind for _, kind in row.fields] if isinstance(row, Struct) else [getattr(row, "base", ANY)]
            needed = {part.name for kind in used for part in t.preorder(kind) if isinstance(part, Reg)}
            assert needed <= known, row.name
            known.add(row.name)

    def test_an_unknown_profile_is_refused(self) -> None:
        with pytest.raises((KeyError, ValueError)):
            records.framework("ergo-9.9")


class TestInferred:
    @pytest.mark.parametrize("value", [True, 1, 1.0, "a", b"a", Atom("a"), Error("a"), PID(Atom("a"), 1, 2), [], {}])
    def test_the_type_follows_from_the_value(self, value: Any) -> None:
        registry = Registry()
        type_, bare = infer_type(value, registry)
        assert type_ is INFERRED_TYPES[type(value)]
        assert bare is value
        assert to_any_slot(type_, value, registry) is value
        assert to_any_slot(Reg("#other"), value, registry) == Typed(Reg("#other"), value)

    def test_a_nil_of_a_container_type_stays_typed(self) -> None:
        registry = Registry()
        assert to_any_slot(t.ERROR, None, registry) is None
        assert to_any_slot(Slice(ANY), None, registry) == Typed(Slice(ANY), None)

    def test_a_value_of_an_unknown_class_is_refused(self) -> None:
        for value in (None, (1,), object()):
            with pytest.raises(TypeError):
                infer_type(value, Registry())
