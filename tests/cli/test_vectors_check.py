"""`vectors check`: valid files have no differences; a changed hex digit is reported with its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ergo_conformance.cli.vectors import app
from ergo_conformance.errors import UsageError
from ergo_conformance.locate import suites
from ergo_conformance.verdict.check import check_file
from tests.support.cli import CommandResult, cli

GOLDEN = suites() / "golden"
CAPTURES = Path(__file__).parents[1] / "data" / "captures" / "v310"
ROW_COUNT = 4
"""Number of rows of the copied vector file."""


def check(*arguments: str | Path) -> CommandResult:
    """Runs the command in this process."""
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "100"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CommandResult(result.exit_code, result.stdout, result.stderr)


def golden_copy(path: Path, change: Callable[[dict[str, Any]], None] = lambda row: None) -> str:
    """Writes a copy of the golden file with a few rows, one of them changed; returns the id of the changed row."""
    content = json.loads((GOLDEN / "edf_vectors.json").read_text(encoding="utf-8"))
    rows = [row for row in content["vectors"] if row["group"] == "pid" and row["expect"] == "both"][:ROW_COUNT]
    change(rows[1])
    path.write_text(json.dumps({**content, "vectors": rows}), encoding="utf-8")
    return str(rows[1]["id"])


def test_check_without_a_file_ends_with_5() -> None:
    ended = cli("vectors", "check")
    assert ended.code == 5
    assert "nothing was checked" in ended.out


def test_check_of_a_protocol_that_the_file_lacks_ends_with_5(tmp_path: Path) -> None:
    golden_copy(tmp_path / "edf.json")
    ended = check("--only", "ehs", tmp_path / "edf.json")
    assert ended.code == 5, ended.text


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("missing.json", None, "No such file or directory"),
        ("words.json", "words", "not valid JSON"),
        ("bytes.json", b"\xff\xfe", "not valid JSON"),
        ("row.json", '{"vectors": [{}]}', "row.json"),
        ("list.json", "[]", "neither ergo-vectors/1 nor ergo-captures/1"),
        ("other.json", '{"format": "ergo-vectors/9", "vectors": []}', "ergo-vectors/9"),
        ("words.jsonl", "words\n", "not valid JSON lines"),
        ("list.jsonl", "[]\n", "list.jsonl"),
        (
            "chunk.jsonl",
            '{"format": "ergo-captures/1", "sides": {"a": "x"}}\n{"dir": "a", "hex": "zz"}\n',
            "chunk.jsonl",
        ),
        ("line.jsonl", '{"format": "ergo-captures/1", "sides": {"a": "x"}}\n[]\n', "line.jsonl"),
        ("deep.jsonl", "[" * 100_000, "not valid JSON lines"),
        ("mark.jsonl", b'\xef\xbb\xbf{"format": "ergo-captures/1"}\n', "not valid JSON lines"),
        ("empty.jsonl", "", "is not metadata of ergo-captures/1"),
    ],
)
def test_a_malformed_file_is_a_usage_error(tmp_path: Path, name: str, text: str | bytes | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        check_file(path, None)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_check_of_a_missing_file_ends_with_2(tmp_path: Path) -> None:
    ended = cli("vectors", "check", tmp_path / "missing.json")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1


def test_check_of_valid_files_of_all_kinds_ends_with_0(tmp_path: Path) -> None:
    golden_copy(tmp_path / "edf.json")
    ended = check(tmp_path / "edf.json", GOLDEN / "ehs_vectors.json", CAPTURES / "handshake_pool3.jsonl")
    assert ended.code == 0, ended.text
    assert ended.out.count("good; ") == 3
    assert "3 files, " in ended.out.splitlines()[-1]


def test_a_changed_digit_of_a_vector_is_reported_with_id_offset_and_both_encodings(tmp_path: Path) -> None:
    forms: list[str] = []

    def damage(row: dict[str, Any]) -> None:
        digits = row["hex"]
        row["hex"] = digits[:-1] + ("0" if digits[-1] != "0" else "1")
        forms.extend((digits[-8:], row["hex"][-8:]))

    id_ = golden_copy(tmp_path / "edf.json", damage)
    length = len(json.loads((tmp_path / "edf.json").read_text())["vectors"][1]["hex"]) // 2
    ended = check(tmp_path / "edf.json")
    assert ended.code == 1, ended.text
    for reader in ("node", "schema"):
        (line,) = (line for line in ended.out.splitlines() if f"{id_}: {reader}: written differently" in line)
        assert f"offset {length - 1}" in line
        assert all(form in line for form in forms)
    assert f"{id_}: node: read as" in ended.out


# --- captures ---------------------------------------------------------------------------------------------------------


def changed(tmp_path: Path, name: str, old: bytes, new: bytes, nth: int = 0) -> Path:
    """Writes a copy of a capture with some bytes of the n-th chunk that contains them replaced by others."""
    lines = (CAPTURES / name).read_text(encoding="utf-8").splitlines()
    found = -1
    for i, line in enumerate(lines[1:], 1):
        row = json.loads(line)
        if row.get("hex") and old in bytes.fromhex(row["hex"]):
            found += 1
            if found == nth:
                lines[i] = json.dumps({**row, "hex": bytes.fromhex(row["hex"]).replace(old, new, 1).hex()})
                path = tmp_path / "changed.jsonl"
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                return path
    raise AssertionError(f"{old!r} is not in {name}")


def chunks(name: str, direction: str) -> list[bytes]:
    rows = [json.loads(line) for line in (CAPTURES / name).read_text(encoding="utf-8").splitlines()[1:]]
    return [bytes.fromhex(row["hex"]) for row in rows if row.get("dir") == direction and row.get("hex")]


def test_a_changed_digest_is_reported(tmp_path: Path) -> None:
    hello = chunks("handshake.jsonl", "a>b")[0]
    digest = hello[-66:-2]
    wrong = digest[:-1] + (b"0" if digest[-1:] != b"0" else b"1")
    ended = check(changed(tmp_path, "handshake.jsonl", digest, wrong))
    assert ended.code == 1, ended.text
    assert f"HELLO_DIALER (EHS-DIG-1): {wrong.decode()} on the wire" in ended.out
    assert f"computes {digest.decode()}" in ended.out
    assert "socket 1" in ended.out


def test_a_changed_length_is_reported(tmp_path: Path) -> None:
    hello = chunks("handshake.jsonl", "a>b")[0]
    longer = hello[:5] + bytes([hello[5] + 1]) + hello[6:]
    ended = check(changed(tmp_path, "handshake.jsonl", hello, longer))
    assert ended.code == 1, ended.text
    assert f"socket 1 a>b: refused at offset 0: bytes left over (1 bytes), offset {len(hello)}; 5701" in ended.out


def test_a_changed_name_is_reported(tmp_path: Path) -> None:
    path = changed(tmp_path, "handshake.jsonl", b"\x00\x0ba@localhost", b"\x00\x0bx@localhost")
    ended = check(path)
    assert ended.code == 1, ended.text
    (line,) = (line for line in ended.out.splitlines() if "introduced as" in line)
    assert "x@localhost" in line
    assert "a@localhost" in line
    assert "socket 1 a>b" in ended.out


def test_a_changed_connection_id_is_reported(tmp_path: Path) -> None:
    accept = next(chunk for chunk in chunks("handshake_pool3.jsonl", "b>a") if b"MessageAccept" in chunk)
    start = accept.index(b"MessageAccept") + len("MessageAccept") + 2
    id_ = accept[start : start + 32]
    ended = check(changed(tmp_path, "handshake_pool3.jsonl", id_, id_[::-1]))
    assert ended.code == 1, ended.text
    assert f"joins '{id_.decode()}', which no Accept announced to " in ended.out


def test_bytes_between_handshake_and_frames_are_reported(tmp_path: Path) -> None:
    said = chunks("handshake.jsonl", "a>b")
    n = next(i for i, chunk in enumerate(said) if b"MessageIntroduce" in chunk)
    ended = check(changed(tmp_path, "handshake.jsonl", said[n], said[n] + b"\x00\x00"))
    assert ended.code == 1, ended.text
    behind = len(b"".join(said[: n + 1]))
    assert f"socket 1 a>b: refused at offset {behind}: wrong magic or version (0, expected 78)" in ended.out
