"""Generates new vector files: new names, ids, values, tables and nestings, with one writer as the oracle."""

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.inferred import INTEGERS
from ergo_conformance.model.json.values import value_from_json
from ergo_conformance.model.types import SCALARS
from ergo_conformance.verdict.vectors.files import file_registry, row_caches

Json = Any
Write = Callable[..., bytes]
WORDS = ("alpha", "", "ünï", "x" * 60, "a b\tc", "100%", "node7@host.example", "\0nul")


class VectorFileGenerator:
    """Generates the rows of one seed. Tagged values are generated as JSON, as an implementation in another language would."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.types = list(self._types())

    def _types(self) -> Iterator[Json]:
        path = f"#fresh{self.seed}/pkg"
        yield {"name": f"{path}/Count", "kind": "uint16"}
        yield {"name": f"{path}/Label", "kind": "string"}
        yield {"name": f"{path}/Floats", "kind": "slice", "def": {"slice": "float32"}}
        yield {"name": f"{path}/ByPid", "kind": "map", "def": {"map": ["pid", {"reg": f"{path}/Count"}]}}
        yield {"name": f"{path}/Trio", "kind": "array", "def": {"array": [3, "any"]}}
        yield {"name": f"{path}/Raw", "kind": "marshaler"}
        yield {"name": f"{path}/Unit", "kind": "struct", "fields": []}
        yield {
            "name": f"{path}/Record[{path[1:]}.Unit]",
            "kind": "struct",
            "fields": [
                ["Id", {"reg": f"{path}/Count"}],
                ["type", "atom"],
                ["Tags", {"slice": {"reg": f"{path}/Label"}}],
                ["When", "time"],
                ["Why", "error"],
                ["Rest", "any"],
                ["Raw", {"reg": f"{path}/Raw"}],
                ["U", {"array": [2, {"reg": f"{path}/Unit"}]}],
            ],
        }

    def word(self) -> str:
        return self.random.choice(WORDS) + self.random.choice(("", str(self.random.randrange(100))))

    def scalar(self, kind: str) -> Json:
        number = self.random.getrandbits
        match kind:
            case "bool":
                return {"type": kind, "value": bool(number(1))}
            case "string" | "atom":
                return {"type": kind, "value": self.word()} if number(2) else {"type": kind, "hex": "ff80c3"}
            case "error":
                return {"type": kind, "value": None if number(2) == 0 else self.word()}
            case "binary":
                return {"type": kind, "hex": number(40).to_bytes(5, "big").hex()}
            case "float32":
                return {"type": kind, "bits": self.random.choice(("3f800000", "80000000", "7f800000", "00000001"))}
            case "float64":
                return {"type": kind, "bits": f"{number(62):016x}"}
            case "pid":
                return {"type": kind, "node": self.word(), "id": str(number(64)), "creation": str(-number(40))}
            case "process_id" | "event":
                return {"type": kind, "node": self.word(), "name": self.word()}
            case "alias" | "ref":
                words = [str(number(64)) for _ in range(3)]
                return {"type": kind, "node": self.word(), "creation": str(number(60)), "id": words}
            case "time":
                offset = self.random.choice((0, 3600, -5 * 3600, 20_700, -17_762, 61))
                return {"type": kind, "unix_seconds": str(number(40)), "nanos": number(29), "offset_seconds": offset}
        bits, signed = INTEGERS[SCALARS[kind]]
        return {"type": kind, "value": str(number(bits) - (1 << bits - 1 if signed else 0))}

    def value(self, kind: Json, depth: int = 2) -> Json:
        """Returns a tagged value of a type expression."""
        match kind:
            case "any":
                return None if depth <= 0 or self.random.random() < 0.2 else self.value(self.kind(depth - 1), depth - 1)
            case {"slice": item}:
                form: Json = {"type": "slice", "elem": item}
                n = self.random.randrange(4)
                if n == 3:
                    return {**form, "repeat": [self.value(item, depth - 1), self.random.randrange(1, 40)]}
                return {**form, "value": None if n == 0 else [self.value(item, depth - 1) for _ in range(n)]}
            case {"array": [n, item]}:
                return {
                    "type": "array",
                    "elem": item,
                    "len": n,
                    "value": [self.value(item, depth - 1) for _ in range(n)],
                }
            case {"map": [key, item]}:
                entries = [[self.value(key, 1), self.value(item, depth - 1)]] if self.random.random() < 0.8 else None
                return {"type": "map", "key": key, "elem": item, "value": entries}
            case {"reg": name}:
                return self.registered(name, depth)
        return self.scalar(kind)

    def registered(self, name: str, depth: int) -> Json:
        row = next(row for row in self.types if row["name"] == name)
        match row:
            case {"kind": "struct", "fields": fields}:
                return {"type": "struct", "name": name, "fields": [[n, self.value(k, depth - 1)] for n, k in fields]}
            case {"kind": "marshaler"}:
                return {"type": "reg", "name": name, "kind": "marshaler", "payload": self.random.randbytes(6).hex()}
            case {"def": definition}:
                return {**self.value(definition, depth), "type": "reg", "name": name, "kind": row["kind"]}
        return {**self.scalar(row["kind"]), "type": "reg", "name": name, "kind": row["kind"]}

    def kind(self, depth: int) -> Json:
        """Returns a type expression."""
        pick = self.random.random()
        if depth <= 0 or pick < 0.3:
            return self.random.choice(list(SCALARS))
        if pick < 0.55:
            return {"reg": self.random.choice(self.types)["name"]}
        if pick < 0.7:
            return {"slice": self.random.choice(("any", self.kind(depth - 1)))}
        if pick < 0.85:
            return {"array": [self.random.randrange(4), self.kind(depth - 1)]}
        return {"map": [self.random.choice(("string", "atom", "int32", "pid", "bool")), self.kind(depth - 1)]}

    def options(self) -> Json:
        """Returns tables with ids of this seed. The mapping swaps two atoms, so it can be reversed."""
        atoms = ["node7@host.example", "alpha"]
        base = self.random.randrange(300, 60_000)
        return {
            "atom_cache": {str(base + i): atom for i, atom in enumerate(atoms)},
            "reg_cache": {
                str(self.random.randrange(4096 + 900 * i, 4996 + 900 * i)): row["name"]
                for i, row in enumerate(self.types[::2])
            },
            "err_cache": {str(self.random.randrange(32_768, 65_535)): "boom"},
            "atom_mapping": {"alpha": "omega", "omega": "alpha"},
        }

    def values(self) -> Iterator[tuple[str, Json]]:
        for kind in SCALARS:
            for _ in range(3):
                yield "scalar", self.scalar(kind)
        for row in self.types:
            for _ in range(6):
                yield "registered", self.registered(row["name"], 3)
        for _ in range(50):
            yield "folded", self.value({"slice": self.kind(3)}, 3)
            yield "any", self.value({"map": ["string", "any"]}, 4)
        yield (
            "error",
            {"type": "slice", "elem": "error", "value": [{"type": "error", "value": "boom", "registered": True}]},
        )
        for depth in (3, 57, 900, 1024):
            yield "nested", {"type": "nested_any_slices", "depth": depth, "leaf": self.scalar("int8")}
            yield "nested", {"type": "nested_arrays", "depth": depth, "leaf": self.scalar("uint32")}
            prefix = self.random.choice(("9d", "9f8d", "9f84"))
            yield "nested", {"type": "slice", "elem": {"nested": [prefix, depth - 1, "int8"]}, "value": None}
        yield "repeat", {"type": "string", "repeat": ["é", 32_767]}
        yield "repeat", {"type": "binary", "repeat": ["ab", 5000]}
        yield (
            "repeat",
            {"type": "reg", "name": self.types[5]["name"], "kind": "marshaler", "payload_repeat": ["00", 4999]},
        )

    def file(self, write: Write) -> Json:
        """Returns a vector file with bytes of the given writer."""
        content: Json = {"format": "ergo-vectors/1", "types": self.types, "vectors": [], "cases": []}
        registry = file_registry(content)
        for i, (group, value) in enumerate(self.values()):
            plain = value_from_json(value, registry)
            if plain is None:
                continue
            row: Json = {"id": f"fresh-{self.seed}-{i}", "group": group, "value": value, "expect": "both"}
            if i % 3 == 0:
                row["options"] = self.options()
            caches = row_caches(row)
            data = write(plain, registry, caches)
            row |= {"len": len(data), "hex": data.hex()}
            if len(data) > 2048:
                row |= {"hex": None, "sha256": hashlib.sha256(data).hexdigest()}
            content["vectors"].append(row)
            content["cases"] += self.cases(row, data, caches)
        return content

    def cases(self, row: Json, data: bytes, caches: Caches) -> Iterator[Json]:
        """Returns rows derived from a valid row: truncated, with trailing bytes, in chunks."""
        common = {key: row[key] for key in ("group", "value") if key in row} | (
            {"options": row["options"]} if "options" in row else {}
        )
        if not 1 < len(data) <= 2048:
            return
        cut = self.random.randrange(len(data))
        yield {**common, "id": f"{row['id']}-cut", "hex": data[:cut].hex(), "expect": "reject"}
        yield {
            **common,
            "id": f"{row['id']}-rest",
            "hex": data.hex() + "9d00",
            "expect": "prefix",
            "consumed_rest_len": 2,
        }
        pieces = [[data[:cut].hex(), 1], [data[cut:].hex(), 1]]
        yield {**common, "id": f"{row['id']}-pieces", "pieces": pieces, "expect": "value"}
        tagged = bytes([self.random.choice((0, 0x83 - 3, 0x9D, 0xA0, 0xB0, 0xFE))]) + data
        yield {**common, "id": f"{row['id']}-tag", "hex": tagged.hex(), "expect": "reject"}
