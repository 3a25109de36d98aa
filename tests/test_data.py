"""The golden data: formats, ids, and rows that follow from their values and sources."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import ehs, esrd, records, saturn
from ergo_conformance.model.json.types import row_from_json
from ergo_conformance.model.json.values import value_from_json
from ergo_conformance.model.registry import Newtype, Registry
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder

Json = Any

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "suites" / "golden"
CAPTURES = ROOT / "tests" / "data" / "captures"
FILES = {
    "edf_vectors": "ergo-vectors-1",
    "edf_negative": "ergo-vectors-1",
    "ehs_vectors": "ergo-vectors-1",
    "enp_vectors": "ergo-vectors-1",
    "esrd_vectors": "ergo-vectors-1",
    "saturn_vectors": "ergo-vectors-1",
    "subject_types": "ergo-types-1",
}
REQUIREMENTS = {
    name: row
    for file in (files("ergo_conformance") / "spec" / "requirements").iterdir()
    if file.name.endswith(".toml")
    for name, row in tomllib.loads(file.read_text(encoding="utf-8")).items()
}
NOT_IN_ROWS = {"ROB-EDF-7"}
"""Requirements that no single row tests: a valid value has to be read after a refusal."""

REGISTRY = Registry([ehs.VERSION_ROW, ehs.NETWORK_FLAGS, *ehs.MESSAGES])
ENCODER = Encoder(REGISTRY)
DECODER = Decoder(REGISTRY)


def load(name: str) -> Json:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@cache
def schema(path: Path) -> Draft202012Validator:
    document = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def schema_errors(validator: Draft202012Validator, instance: Json) -> list[str]:
    return [f"{error.json_path}: {error.message:.200}" for error in validator.iter_errors(instance)]


def rows_of(document: Json) -> list[Json]:
    return [row for key in ("vectors", "cases", "vectors_only_3.0") for row in document.get(key, [])]


DATA = {name: load(name) for name in FILES}
ROWS = [row for name in FILES for row in rows_of(DATA[name])]
EHS = DATA["ehs_vectors"]
ENP = DATA["enp_vectors"]
ESRD = DATA["esrd_vectors"]
SATURN = DATA["saturn_vectors"]


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_is_valid_for_its_schema(name: str) -> None:
    assert schema_errors(schema(GOLDEN / f"{FILES[name]}.schema.json"), DATA[name]) == []


def excerpt(name: str) -> dict[str, Json]:
    """Returns a file with only the first row of each list."""
    return {key: part[:1] if isinstance(part, list) else part for key, part in DATA[name].items()}


def invalid_documents() -> Iterator[tuple[str, Json]]:
    def invalid(file: str, key: str, **changes: Json) -> tuple[str, Json]:
        row = DATA[file][key][0] | changes
        return file, excerpt(file) | {key: [{k: v for k, v in row.items() if v is not ...}]}

    yield invalid("edf_vectors", "vectors", expects="both")
    yield invalid("edf_vectors", "vectors", expect="accept")
    yield invalid("edf_vectors", "vectors", requirements=[])
    yield invalid("edf_vectors", "vectors", hex="9")
    yield invalid("edf_vectors", "vectors", value={"type": "int9", "value": "1"})
    yield invalid("edf_vectors", "vectors", value={"type": "int8", "value": 1})
    yield invalid("edf_vectors", "vectors", value={"type": "slice", "elem": {"slise": "int8"}, "value": None})
    yield invalid("edf_vectors", "types", kind="strukt")
    yield invalid("edf_negative", "cases", hex=...)
    yield invalid("edf_negative", "cases", expect="value")
    yield invalid("ehs_vectors", "vectors", role="client")
    yield invalid("ehs_vectors", "vectors", facts={"cookie": "c", "salt3": "s"})
    yield invalid("ehs_vectors", "cases", reason="no reason")
    yield invalid("enp_vectors", "vectors", group="MESSAGE")
    yield invalid("enp_vectors", "vectors", fields={"order": 1})
    yield invalid("enp_vectors", "vectors", mask=[[17]])
    yield invalid("enp_vectors", "vectors", expect="reject")
    yield invalid("enp_vectors", "vectors", source=...)
    yield invalid("enp_vectors", "cases", reason="no reason")
    yield invalid("enp_vectors", "cases", of="ehs-hello-01-dialer")
    yield invalid("esrd_vectors", "vectors", transport="tls")
    yield invalid("esrd_vectors", "vectors", hex="0130")
    yield invalid("esrd_vectors", "vectors", source={"capture": "registrar/register"})
    yield invalid("esrd_vectors", "cases", reason="no reason")
    yield invalid("esrd_vectors", "cases", expect="both")
    yield invalid("esrd_vectors", "cases", of="ehs-hello-01-dialer")
    yield invalid("saturn_vectors", "vectors", role="node")
    yield invalid("saturn_vectors", "vectors", hex="6302ff")
    yield invalid("saturn_vectors", "vectors", facts=...)
    yield invalid("saturn_vectors", "vectors", group="Register")
    yield invalid("saturn_vectors", "vectors", source={"capture": "saturn/register"})
    yield invalid("saturn_vectors", "cases", reason="no reason")
    yield invalid("saturn_vectors", "cases", expect="both")
    yield invalid("saturn_vectors", "cases", of="esrd-register-01")
    yield invalid("subject_types", "types", set="object")


@pytest.mark.parametrize(("name", "document"), list(invalid_documents()))
def test_a_changed_row_is_invalid_for_the_schema(name: str, document: Json) -> None:
    assert not schema(GOLDEN / f"{FILES[name]}.schema.json").is_valid(document)


@pytest.mark.parametrize("name", FILES)
def test_a_new_key_in_meta_is_valid_for_the_schema(name: str) -> None:
    document = excerpt(name)
    document["meta"] = document["meta"] | {"later": 1}
    assert schema_errors(schema(GOLDEN / f"{FILES[name]}.schema.json"), document) == []


def test_the_schema_lists_every_reason() -> None:
    document = json.loads((GOLDEN / "ergo-vectors-1.schema.json").read_text(encoding="utf-8"))
    for case in ("frame_case", "enp_case", "esrd_case", "saturn_case"):
        assert document["$defs"][case]["properties"]["reason"]["enum"] == [reason.value for reason in Reason]


@pytest.mark.parametrize("folder", sorted(path.name for path in CAPTURES.iterdir() if path.is_dir()))
def test_every_line_of_a_capture_is_valid_for_the_schema(folder: str) -> None:
    validator = schema(CAPTURES / "ergo-captures-1.schema.json")
    for file in sorted((CAPTURES / folder).glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert "format" in lines[0]
        assert not any("format" in line for line in lines[1:])
        for number, line in enumerate(lines, 1):
            assert schema_errors(validator, line) == [], f"{file.name}:{number}"


def test_the_metadata_of_a_capture_name_all_its_writers() -> None:
    for file in sorted(CAPTURES.glob("*/*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            meta = json.loads(next(lines))
            used = {line["dir"] for line in map(json.loads, lines)} - {"note"}
        writers = {*meta["sides"].values()}
        for by_conn in meta.get("sides_by_conn", {}).values():
            writers |= {*by_conn.values()}
        assert file.stem.startswith(meta["scenario"]), file
        assert used <= meta["sides"].keys(), file
        assert {*meta["release"], *meta["secrets"]} <= writers, file


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_of_rows_are_unique() -> None:
    for name in FILES.keys() - {"subject_types"}:
        ids = [row["id"] for row in rows_of(DATA[name])]
        assert len(ids) == len(set(ids)), name


def test_requirements_of_rows_exist_and_are_testable() -> None:
    cited = {name for row in ROWS for name in row["requirements"]}
    assert cited <= REQUIREMENTS.keys()
    assert {name for name in cited if "untested" in REQUIREMENTS[name]} == set()


def test_every_testable_must_of_edf_has_a_row() -> None:
    cited = {name for row in ROWS for name in row["requirements"]}
    musts = {
        name
        for name, row in REQUIREMENTS.items()
        if name.startswith(("EDF-", "ROB-EDF-")) and row["level"] == "MUST" and "untested" not in row
    }
    assert musts - cited == NOT_IN_ROWS


@pytest.mark.parametrize("name", FILES)
def test_type_rows_can_be_registered(name: str) -> None:
    for row in DATA[name].get("types", []):
        assert row_from_json(row).name == row["name"]


# --- handshake frames -------------------------------------------------------------------------------------------------


def frame(payload: bytes) -> bytes:
    return bytes([ehs.MAGIC, ehs.VERSION]) + len(payload).to_bytes(4, "big") + payload


def refusal_reason(data: bytes) -> Reason | None:
    """Returns why bytes are not a handshake frame; None for a valid frame."""
    if len(data) < ehs.HEADER_LENGTH:
        return Reason.END_OF_DATA
    if data[0] != ehs.MAGIC or data[1] != ehs.VERSION:
        return Reason.MAGIC
    end = ehs.HEADER_LENGTH + int.from_bytes(data[2 : ehs.HEADER_LENGTH], "big")
    if end - ehs.HEADER_LENGTH > ehs.MAX_PAYLOAD:
        return Reason.LENGTH
    if end > len(data):
        return Reason.END_OF_DATA
    try:
        value = DECODER.decode(data[ehs.HEADER_LENGTH : end])
    except Rejected as error:
        return error.reason
    return None if isinstance(value, ehs.Message) else Reason.UNEXPECTED


def digest(row: ehs.Digest, facts: dict[str, str]) -> str:
    text = ":".join(facts[part] for part in row.parts).encode()
    print_ = bytes.fromhex(facts["fingerprint_sha1"]) if row.fingerprint else b""
    return hashlib.sha256(text + print_).hexdigest()


@cache
def recorded(capture: str, socket: int, direction: str) -> tuple[Json, bytes]:
    """Returns the metadata of a capture and the bytes of one direction."""
    meta, *chunks = map(json.loads, (CAPTURES / f"{capture}.jsonl").read_text(encoding="utf-8").splitlines())
    here = [chunk for chunk in chunks if (chunk["link"], chunk["dir"]) == (socket, direction)]
    return meta, bytes.fromhex("".join(chunk.get("hex", "") for chunk in here))


@pytest.mark.parametrize("row", EHS["vectors"], ids=lambda row: row["id"])
class TestHandshakeFrame:
    def test_frame_and_value_are_written_to_each_other(self, row: Json) -> None:
        value = value_from_json(row["value"], REGISTRY)
        data = bytes.fromhex(row["hex"])
        assert type(value).__name__ == row["group"]
        assert len(data) == row["len"]
        assert frame(ENCODER.encode(value)) == data
        assert DECODER.decode(data[ehs.HEADER_LENGTH :]) == value
        assert refusal_reason(data) is None

    def test_digests_follow_from_the_facts(self, row: Json) -> None:
        fields = {name: field["value"] for name, field in row["value"]["fields"] if name in ("Digest", "DigestCert")}
        expected = dict.fromkeys(fields, "")
        where = {entry["name"]: entry["field"] for entry in EHS["digests"]}
        for name in row["digest"]:
            expected[where[name]] = digest(ehs.Digest[name], row["facts"])
        assert fields == expected

    def test_the_source_contains_the_frame(self, row: Json) -> None:
        source = row["source"]
        data = bytes.fromhex(row["hex"])
        if "vectors" in source:
            document = DATA[source["vectors"].removesuffix(".json")]
            (payload,) = (vector["hex"] for vector in document["vectors"] if vector["id"] == source["id"])
            assert frame(bytes.fromhex(payload)) == data
            return
        meta, stream = recorded(source["capture"], source["link"], source["dir"])
        writer = meta["sides"][source["dir"]]
        assert stream[source["offset"] :].startswith(data)
        assert meta["release"][writer] == source["release"]
        assert (writer == meta["dialer"]) == (row["role"] == "dialer")
        assert row["facts"].get("cookie", meta["secrets"][writer]["cookie"]) == meta["secrets"][writer]["cookie"]


@pytest.mark.parametrize("case", EHS["cases"], ids=lambda case: case["id"])
def test_a_malformed_frame_is_refused_for_the_reason_of_its_row(case: Json) -> None:
    data = bytes.fromhex(case["hex"])
    assert len(data) == case["len"]
    assert case["of"] in {row["id"] for row in EHS["vectors"]}
    assert refusal_reason(data) == case["reason"]


def test_the_tables_of_the_handshake_file_equal_those_of_the_model() -> None:
    rows = [(d["name"], d["requirement"], tuple(d["parts"]), d["fingerprint"]) for d in EHS["digests"]]
    assert rows == [(d.name, d.requirement, d.parts, d.fingerprint) for d in ehs.Digest]
    assert EHS["limits"]["max_payload"] == ehs.MAX_PAYLOAD
    assert {row["name"] for row in EHS["types"]} == {row.name for row in REGISTRY}
    for row in EHS["types"]:
        if row["kind"] == "struct":
            assert row_from_json(row) == REGISTRY.get(row["name"])


# --- ENP frames -------------------------------------------------------------------------------------------------------


def test_the_source_of_each_frame_contains_it() -> None:
    for row in ENP["vectors"]:
        source, data = row["source"], bytes.fromhex(row["hex"])
        meta, stream = recorded(source["capture"], source["link"], source["dir"])
        writer = meta["sides"][source["dir"]]
        assert stream[source["offset"] :].startswith(data), row["id"]
        assert len(data) == row["len"] == int.from_bytes(data[2:6], "big"), row["id"]
        assert meta["release"][writer] == source["release"], row["id"]
        assert source["dir"] not in meta["scripted"], row["id"]


def test_a_frame_has_only_the_cache_ids_that_it_needs() -> None:
    """Each id of its tables is in its bytes. Compressed frames are not checked."""
    for row in ENP["vectors"]:
        ids = [int(id_) for table in row.get("options", {}).values() for id_ in table]
        if row["group"] != "COMPRESSED":
            assert all(id_.to_bytes(2, "big").hex() in row["hex"] for id_ in ids), row["id"]


# --- packets of the registrars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [ESRD, SATURN], ids=["ESRD", "Saturn"])
def test_the_source_of_each_packet_contains_it(document: Json) -> None:
    for row in rows_of(document):
        if (source := row.get("source")) is None:
            continue
        lines = (CAPTURES / f"{source['capture']}.jsonl").read_text(encoding="utf-8").splitlines()
        meta, chunk = json.loads(lines[0]), json.loads(lines[source["line"] - 1])
        found = (chunk["hex"], chunk["dir"], chunk.get("proto", "tcp"))
        assert found == (row["hex"], source["dir"], row.get("transport", "tcp")), row["id"]
        assert source["dir"].startswith(row.get("role", "")), row["id"]
        scripted = bool({source["dir"], f"{chunk['conn']}:{source['dir']}"} & {*meta["scripted"]})
        assert scripted == (source["writer"] == "script"), row["id"]
        released = {*meta["release"].values()} if scripted else {meta["release"][meta["sides"][source["dir"]]]}
        assert source["release"] in released, row["id"]


def test_the_tables_of_the_registrar_file_equal_those_of_the_model() -> None:
    limits = {
        esrd.PacketType[name.removeprefix("max_").upper()]: n for name, n in ESRD["limits"].items() if name != "note"
    }
    assert limits == {type_: type_.max_size for type_ in esrd.PacketType}
    rows = {row.name: row for row in (ehs.VERSION_ROW, esrd.ROUTE, *esrd.MESSAGES)}
    assert {row["name"]: row_from_json(row) for row in ESRD["types"]} == rows
    for row in rows_of(ESRD):
        assert len(row["hex"]) == 2 * row["len"], row["id"]
    for row in ESRD["vectors"]:
        type_ = esrd.PacketType(int(row["hex"][2:4], 16))
        assert (row["group"], row["transport"]) == (type_.message_class.__name__, type_.transport.value), row["id"]
        assert row["len"] <= type_.max_size, row["id"]


def test_the_tables_of_the_saturn_file_equal_those_of_the_model() -> None:
    assert SATURN["limits"]["max_payload"] == saturn.MAX_PAYLOAD
    assert SATURN["protocol"] == saturn.PROTOCOL
    structs = (ehs.VERSION_ROW, esrd.ROUTE, saturn.APPLICATION_ROUTE, saturn.PROXY_ROUTE, saturn.ANNOUNCED_ROUTES)
    rows = {row["name"]: row_from_json(row) for row in SATURN["types"]}
    assert {name: row for name, row in rows.items() if not isinstance(row, Newtype)} == {
        row.name: row for row in (*structs, *saturn.MESSAGES)
    }
    for row in rows.values():
        assert records.framework().get(row.name) in (row, None)
    groups = [row.value_class.__name__ for row in saturn.MESSAGES]
    document = json.loads((GOLDEN / "ergo-vectors-1.schema.json").read_text(encoding="utf-8"))
    assert document["$defs"]["saturn_group"]["enum"] == groups


@pytest.mark.parametrize("document", [ENP, ESRD, SATURN], ids=["ENP", "ESRD", "Saturn"])
def test_every_case_has_the_group_of_the_row_it_was_made_from(document: Json) -> None:
    groups = {row["id"]: row["group"] for row in document["vectors"]}
    for case in document["cases"]:
        assert groups[case["of"]] == case["group"], case["id"]
        assert len(case["hex"]) == 2 * case["len"], case["id"]


@pytest.mark.parametrize("document", [EHS, ENP, ESRD, SATURN], ids=["EHS", "ENP", "ESRD", "Saturn"])
def test_meta_counts_the_rows_of_frames_and_packets(document: Json) -> None:
    assert document["meta"]["count_total"] == len(document["vectors"])
    assert document["meta"]["cases_total"] == len(document["cases"])


def test_edf_files_have_at_most_the_rows_that_meta_counts() -> None:
    for name, key in (("edf_vectors", "vectors"), ("edf_negative", "cases")):
        assert len(DATA[name][key]) <= DATA[name]["meta"]["count_total"]
