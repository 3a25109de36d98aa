"""The cookie is in no report and no output, whatever fails."""

from pathlib import Path

import pytest

from tests.support import bad_servers
from tests.support.cli import case_options, cli

CHOSEN = ("--suite", "handshake", "-v", *case_options("handshake.digest.*", "handshake.introduce.configured_cookie"))


@pytest.mark.parametrize("cookie", ["sixteen-letters!", "a cookie that is much longer than that"])
def test_output_and_reports_contain_no_cookie(cookie: str, tmp_path: Path) -> None:
    reports = tmp_path / "report.json", tmp_path / "report.xml"
    with bad_servers.running_server(bad_servers.close_at_once) as port:
        ended = cli(
            "run", f"tcp://127.0.0.1:{port}", "--cookie", cookie, *CHOSEN,
            "--report", f"json={reports[0]}", "--report", f"junit={reports[1]}",
        )  # fmt: skip
    assert ended.code == 1
    texts = [ended.out, ended.err, *(report.read_text() for report in reports)]
    for text in texts:
        assert cookie not in text
        assert cookie[:12] not in text
    assert "FAIL" in ended.out
    assert "--cookie COOKIE" in ended.out


def test_cookie_is_read_from_the_environment() -> None:
    with bad_servers.running_server(bad_servers.close_at_once) as port:
        target = ("run", f"tcp://127.0.0.1:{port}", *CHOSEN)
        ended = cli(*target, env={"ERGO_CONFORMANCE_COOKIE": "from the environment"})
    assert ended.code == 1
    assert "from the env" not in ended.text
