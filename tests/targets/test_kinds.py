"""Names of targets, and errors for invalid options."""

import pytest

from ergo_conformance.errors import UsageError, suggestion
from ergo_conformance.targets.base import offers_of
from ergo_conformance.targets.create import target_of
from ergo_conformance.targets.options import TargetOptions
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import TcpTarget


def test_text_of_each_kind_gives_its_target() -> None:
    assert isinstance(target_of(TargetOptions()), SelfTarget)
    over_tcp = target_of(TargetOptions(over="tcp"))
    assert (over_tcp.live, target_of(TargetOptions()).live) == (True, False)
    tcp = target_of(TargetOptions(target="tcp://[::1]:25000", cookie="c", node="a@b"))
    assert isinstance(tcp, TcpTarget)
    assert (tcp.host, tcp.port, tcp.context, tcp.target_info.name) == ("::1", 25000, None, "a@b")
    tls = target_of(TargetOptions(target="tls://localhost:1", cookie="c"))
    assert isinstance(tls, TcpTarget)
    assert tls.context is not None
    process = target_of(TargetOptions(target="process:run it 'as is'"))
    assert isinstance(process, ProcessTarget)
    assert process.command == ["run", "it", "as is"]


def test_empty_cookie_is_accepted() -> None:
    target = target_of(TargetOptions(target="tcp://h:1", cookie=""))
    assert isinstance(target, TcpTarget)
    assert target.target_info.cookie == ""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (TargetOptions(target="udp://127.0.0.1:1"), "'udp://127.0.0.1:1' is not a valid target"),
        (TargetOptions(target=""), "'' is not a valid target"),
        (TargetOptions(target="Self"), "did you mean self?"),
        (TargetOptions(target="tcp://127.0.0.1", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://127.0.0.1:0", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://127.0.0.1:65536", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://127.0.0.1:-1", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://127.0.0.1:1/path", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tls://127.0.0.1:1?x", cookie="c"), "(expected tls://HOST:PORT)"),
        (TargetOptions(target="tcp://:1", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://[::1:1", cookie="c"), "(expected tcp://HOST:PORT)"),
        (TargetOptions(target="tcp://127.0.0.1:1"), "--cookie is required"),
        (TargetOptions(target="tls://127.0.0.1:1", cookie="c", tls_ca="/nowhere"), "--tls-ca /nowhere"),
        (
            TargetOptions(target="tcp://127.0.0.1:1", cookie="c", tls=True),
            "--tls is not supported by tcp:// targets (supported by: self, process:)",
        ),
        (TargetOptions(target="process:"), "a command is required"),
        (TargetOptions(target="process:'"), "No closing quotation"),
        (TargetOptions(over="udp"), "--over udp: not a valid transport (supported: memory, tcp)"),
        (
            TargetOptions(target="process:x", over="memory"),
            "--over is not supported by process: targets (supported by: self, mutant:)",
        ),
        (
            TargetOptions(target="process:x", offers="accept,codecs"),
            "'codecs' is not a valid offer; did you mean codec?",
        ),
    ],
)
def test_invalid_target_options_raise_one_sentence(options: TargetOptions, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        target_of(options)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_offers_are_split_at_commas() -> None:
    assert offers_of(None) is None
    assert offers_of(" accept, agents,") == {"accept", "agents"}


def test_suggestion_names_the_closest_word_or_a_short_list() -> None:
    assert suggestion("handshak", ["golden", "handshake"]) == "; did you mean handshake?"
    assert suggestion("xyz", ["golden", "handshake"]) == " (supported: golden, handshake)"
    assert suggestion("xyz", [f"word{i}" for i in range(100)]) == ""
