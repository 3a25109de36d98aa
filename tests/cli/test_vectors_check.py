"""`vectors check`: good files are good; one damaged hex digit is found, and said where it stands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ergo_conformance.cli.vectors import app, check_file
from ergo_conformance.errors import UsageError
from ergo_conformance.locate import suites
from tests.support.cli import Ended, cli

GOLDEN = suites() / "golden"
CAPTURES = Path(__file__).parents[1] / "data" / "captures" / "v310"
FEW = 4  # rows of a vector file that are enough here


def check(*arguments: str | Path) -> Ended:
    """In this process: nothing in it is about processes."""
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "100"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def golden_copy(path: Path, change: Callable[[dict[str, Any]], None] = lambda row: None) -> str:
    """A copy of the golden file with a few rows, one of them changed; the id of that one."""
    content = json.loads((GOLDEN / "edf_vectors.json").read_text(encoding="utf-8"))
    rows = [row for row in content["vectors"] if row["group"] == "pid" and row["expect"] == "both"][:FEW]
    change(rows[1])
    path.write_text(json.dumps({**content, "vectors": rows}), encoding="utf-8")
    return str(rows[1]["id"])


def test_without_a_file_nothing_is_checked() -> None:
    ended = cli("vectors", "check")
    assert ended.code == 5
    assert "nothing was checked" in ended.out


def test_a_file_without_anything_of_the_wanted_protocol(tmp_path: Path) -> None:
    golden_copy(tmp_path / "edf.json")
    ended = check("--only", "ehs", tmp_path / "edf.json")
    assert ended.code == 5, ended.text


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("missing.json", None, "No such file or directory"),
        ("words.json", "words", "no JSON"),
        ("bytes.json", b"\xff\xfe", "no JSON"),
        ("row.json", '{"vectors": [{}]}', "row.json"),
        ("list.json", "[]", "neither ergo-vectors/1 nor ergo-captures/1"),
        ("other.json", '{"format": "ergo-vectors/9", "vectors": []}', "ergo-vectors/9"),
        ("words.jsonl", "words\n", "no JSON lines"),
        ("list.jsonl", "[]\n", "list.jsonl"),
        (
            "chunk.jsonl",
            '{"format": "ergo-captures/1", "sides": {"a": "x"}}\n{"dir": "a", "hex": "zz"}\n',
            "chunk.jsonl",
        ),
        ("line.jsonl", '{"format": "ergo-captures/1", "sides": {"a": "x"}}\n[]\n', "line.jsonl"),
        ("empty.jsonl", "", "is not metadata of ergo-captures/1"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, text: str | bytes | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        check_file(path, None)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_such_a_file_ends_with_2(tmp_path: Path) -> None:
    ended = cli("vectors", "check", tmp_path / "missing.json")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1


def test_good_files_of_all_kinds(tmp_path: Path) -> None:
    golden_copy(tmp_path / "edf.json")
    ended = check(tmp_path / "edf.json", GOLDEN / "ehs_vectors.json", CAPTURES / "handshake_pool3.jsonl")
    assert ended.code == 0, ended.text
    assert ended.out.count("good; ") == 3
    assert "3 files, " in ended.out.splitlines()[-1]


def test_a_damaged_digit_of_a_vector_is_shown_with_id_offset_and_both_forms(tmp_path: Path) -> None:
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
        (line,) = (line for line in ended.out.splitlines() if f"{id_}: {reader}: written otherwise" in line)
        assert f"offset {length - 1}" in line
        assert all(form in line for form in forms)
    assert f"{id_}: node: read as" in ended.out


# --- captures ---------------------------------------------------------------------------------------------------------


def damaged(tmp_path: Path, name: str, old: bytes, new: bytes, nth: int = 0) -> Path:
    """A copy of a capture in which the n-th chunk that holds some bytes holds others in their place, once."""
    lines = (CAPTURES / name).read_text(encoding="utf-8").splitlines()
    found = -1
    for i, line in enumerate(lines[1:], 1):
        row = json.loads(line)
        if row.get("hex") and old in bytes.fromhex(row["hex"]):
            found += 1
            if found == nth:
                lines[i] = json.dumps({**row, "hex": bytes.fromhex(row["hex"]).replace(old, new, 1).hex()})
                path = tmp_path / "damaged.jsonl"
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                return path
    raise AssertionError(f"{old!r} is not in {name}")


def chunks(name: str, direction: str) -> list[bytes]:
    rows = [json.loads(line) for line in (CAPTURES / name).read_text(encoding="utf-8").splitlines()[1:]]
    return [bytes.fromhex(row["hex"]) for row in rows if row.get("dir") == direction and row.get("hex")]


def test_a_damaged_digest(tmp_path: Path) -> None:
    hello = chunks("handshake.jsonl", "a>b")[0]
    digest = hello[-66:-2]
    wrong = digest[:-1] + (b"0" if digest[-1:] != b"0" else b"1")
    ended = check(damaged(tmp_path, "handshake.jsonl", digest, wrong))
    assert ended.code == 1, ended.text
    assert f"HELLO_DIALER (EHS-DIG-1): {wrong.decode()} on the wire" in ended.out
    assert f"computes {digest.decode()}" in ended.out
    assert "link 1" in ended.out


def test_a_damaged_length(tmp_path: Path) -> None:
    hello = chunks("handshake.jsonl", "a>b")[0]
    longer = hello[:5] + bytes([hello[5] + 1]) + hello[6:]
    ended = check(damaged(tmp_path, "handshake.jsonl", hello, longer))
    assert ended.code == 1, ended.text
    assert f"link 1 a>b: refused at offset 0: bytes left over (1 bytes), offset {len(hello)}; 5701" in ended.out


def test_a_damaged_name(tmp_path: Path) -> None:
    path = damaged(tmp_path, "handshake.jsonl", b"\x00\x0ba@localhost", b"\x00\x0bx@localhost")
    ended = check(path)
    assert ended.code == 1, ended.text
    (line,) = (line for line in ended.out.splitlines() if "introduced as" in line)
    assert "x@localhost" in line
    assert "a@localhost" in line
    assert "link 1 a>b" in ended.out


def test_a_damaged_connection_id(tmp_path: Path) -> None:
    accept = next(chunk for chunk in chunks("handshake_pool3.jsonl", "b>a") if b"MessageAccept" in chunk)
    start = accept.index(b"MessageAccept") + len("MessageAccept") + 2
    id_ = accept[start : start + 32]
    ended = check(damaged(tmp_path, "handshake_pool3.jsonl", id_, id_[::-1]))
    assert ended.code == 1, ended.text
    assert f"joins '{id_.decode()}', which no Accept announced to " in ended.out


def test_bytes_between_the_protocols(tmp_path: Path) -> None:
    said = chunks("handshake.jsonl", "a>b")
    n = next(i for i, chunk in enumerate(said) if b"MessageIntroduce" in chunk)
    ended = check(damaged(tmp_path, "handshake.jsonl", said[n], said[n] + b"\x00\x00"))
    assert ended.code == 1, ended.text
    behind = len(b"".join(said[: n + 1]))
    assert f"link 1 a>b: refused at offset {behind}: wrong magic or version (0, expected 78)" in ended.out
