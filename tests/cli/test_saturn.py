"""`ergo-conformance registrar saturn` as a process."""

import json
import signal
import subprocess
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from tests.support.cli import COMMAND, cases_of, cli, environment

SERVER = (*COMMAND, "registrar", "saturn", "--port", "0", "--token", "secret")
S, T = "registrar.saturn", "registrar.saturn_stream"


def test_saturn_as_a_process_conforms(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", "--suite", "registrar", "--report", f"json={report}", "--", *SERVER)
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
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
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
def test_configuration_that_can_not_be_encoded_gives_one_sentence(value: str, complaint: str, tmp_path: Path) -> None:
    config = tmp_path / "items.toml"
    config.write_text(f'"*:A" = {value}\n')
    ended = cli("registrar", "saturn", "--port", "0", "--config", config)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())
