"""`ergo-conformance registrar saturn` as a process, and central registrars with one fault each, which a run finds."""

import json
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from tests.support.broken_saturn import FAULTS
from tests.support.cli import COMMAND, SUPPORT, cases_of, cli, environment, failed, judged, only

BROKEN = (sys.executable, "-P", str(SUPPORT / "broken_saturn.py"))
S, T = "registrar.saturn", "registrar.saturn_stream"
FOUND_BY = {
    "any_digest": (f"{S}.wrong_proof[of_another_token]", f"{S}.wrong_proof[empty]"),
    "any_case": (f"{S}.wrong_proof[upper_case]",),
    "proves_the_salt": (f"{S}.proof[64_characters]",),
    "excuses_itself": (f"{S}.wrong_proof[cut]", f"{S}.wrong_state[registered-register]"),
    "one_cluster": (f"{S}.clusters",),
    "takes_names_over": (f"{S}.taken",),
    "other_words": (f"{S}.taken",),
    "tells_nobody": (f"{S}.second", f"{T}.application"),
    "tells_everybody": (f"{S}.clusters",),
    "tells_itself": (f"{S}.second", f"{T}.application"),
    "keeps_names": (f"{S}.left[closed]", f"{S}.left[reset]"),
    "any_state": (f"{S}.wrong_state[await_handshake-register]", f"{S}.wrong_state[registered-handshake]"),
    "forgets_numbers": (f"{S}.resolve_unknown[4294967295]", f"{S}.many_requests"),
    "never_resolves": (f"{S}.resolve",),
    "no_error": (f"{S}.resolve_unknown[1]",),
    "resolves_all_clusters": (f"{S}.resolve_in_another_cluster",),
    "foreign_applications": (f"{T}.foreign_application",),
    "loaded_only": (f"{T}.application", f"{T}.last_state_for_a_late_node"),
    "first_of_a_chunk": (f"{T}.joined", f"{T}.in_pieces"),
    "junk_is_nothing": (f"{T}.no_message[registered-no_edf]",),
    "junk_ends_all": (f"{T}.no_message[unknown-http]",),
    "no_deadline": (f"{S}.deadline[nothing]", f"{S}.deadline[half_a_message]"),
    "early_deadline": (f"{S}.register",),
}
SHOULD = frozenset({"never_resolves"})
"""What breaks a SHOULD is a warning."""


def test_every_fault_has_a_case() -> None:
    assert {*FOUND_BY, "none"} == set(FAULTS)


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    chosen = ("--suite", "registrar", *only(*FOUND_BY[fault]))
    ended = judged(report, *chosen, target=(*BROKEN, fault))
    assert ended.code == (fault not in SHOULD), ended.text
    verdicts = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert set(verdicts.values()) == {"WARN" if fault in SHOULD else "FAIL"}
    assert fault in SHOULD or failed(report) == set(FOUND_BY[fault])


def test_saturn_without_a_fault_passes(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = judged(report, "--suite", "registrar", target=(*BROKEN, "none"))
    assert ended.code == 0, ended.text
    verdicts = {id_: row["verdict"] for id_, row in cases_of(report).items() if id_.startswith((f"{S}.", f"{T}."))}
    assert len(verdicts) > 70
    assert set(verdicts.values()) == {"PASS", "INFO"}


def test_saturn_serves_until_sigterm_and_reloads_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "items.toml"
    config.write_text('"*:A" = 1\n[mycluster."a@b"]\nItem = "x"\n')
    command = [*COMMAND, "registrar", "saturn", "--port", "0", "--token", "secret", "--config", str(config)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout
            assert process.stderr
            ready = json.loads(process.stdout.readline().removeprefix("READY "))
            assert (ready["offers"], ready["token"], ready["os_pid"]) == (["saturn"], "secret", process.pid)
            schema = files("ergo_conformance").joinpath("targets", "schemas", "ready.schema.json").read_text("utf-8")
            jsonschema.validate(ready, json.loads(schema))
            assert ready.keys() <= json.loads(schema)["properties"].keys()
            config.write_text("not TOML")
            process.send_signal(signal.SIGHUP)
            assert "items.toml" in process.stderr.readline()
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
            assert time.monotonic() - started < 5
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--tls-cert", "x.pem"), "--tls-cert and --tls-key must be given together"),
        (("--config", "/no/such/file.toml"), "No such file"),
        (("--host", "no.such.host.invalid"), "cannot serve on"),
    ],
)
def test_invalid_options_give_one_sentence(options: tuple[str, ...], complaint: str) -> None:
    ended = cli("registrar", "saturn", "--port", "0", *options)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("[1, 2]", "is a list"), (str(2**63), "can't be encoded"), (f'"{"x" * 65_536}"', "can't be encoded")],
    ids=["list", "65 bits", "64 KiB"],
)
def test_items_that_can_not_be_encoded_give_one_sentence(value: str, complaint: str, tmp_path: Path) -> None:
    config = tmp_path / "items.toml"
    config.write_text(f'"*:A" = {value}\n')
    ended = cli("registrar", "saturn", "--port", "0", "--config", config)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())
