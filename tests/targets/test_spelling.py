"""How targets are named, and what is said about names that make no sense."""

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.targets.kinds import Settings, offers_of, suggestion, target_of
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import TcpTarget


def test_every_kind_of_target() -> None:
    assert isinstance(target_of(Settings()), SelfTarget)
    over_tcp = target_of(Settings(over="tcp"))
    assert (over_tcp.live, target_of(Settings()).live) == (True, False)
    tcp = target_of(Settings("tcp://[::1]:25000", cookie="c", node="a@b"))
    assert isinstance(tcp, TcpTarget)
    assert (tcp.host, tcp.port, tcp.context, tcp.target_info.name) == ("::1", 25000, None, "a@b")
    tls = target_of(Settings("tls://localhost:1", cookie="c"))
    assert isinstance(tls, TcpTarget)
    assert tls.context is not None
    process = target_of(Settings("process:run it 'as is'"))
    assert isinstance(process, ProcessTarget)
    assert process.command == ["run", "it", "as is"]


def test_an_empty_cookie_is_a_cookie() -> None:
    target = target_of(Settings("tcp://h:1", cookie=""))
    assert isinstance(target, TcpTarget)
    assert target.target_info.cookie == ""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (Settings("udp://127.0.0.1:1"), "'udp://127.0.0.1:1' is no target"),
        (Settings(""), "'' is no target"),
        (Settings("Self"), "did you mean self?"),
        (Settings("tcp://127.0.0.1", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://127.0.0.1:0", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://127.0.0.1:65536", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://127.0.0.1:-1", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://127.0.0.1:1/path", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tls://127.0.0.1:1?x", cookie="c"), "is written tls://HOST:PORT"),
        (Settings("tcp://:1", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://[::1:1", cookie="c"), "is written tcp://HOST:PORT"),
        (Settings("tcp://127.0.0.1:1"), "--cookie is needed"),
        (Settings("tls://127.0.0.1:1", cookie="c", tls_ca="/nowhere"), "--tls-ca /nowhere"),
        (Settings("tcp://127.0.0.1:1", cookie="c", tls=True), "--tls is for targets that we start"),
        (Settings("process:"), "a command is needed"),
        (Settings("process:'"), "No closing quotation"),
        (Settings(over="udp"), "--over udp: memory or tcp"),
        (Settings("process:x", over="memory"), "--over is for the target self"),
        (Settings(offers="accept,codecs"), "'codecs' is nothing a target can offer; did you mean codec?"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(settings: Settings, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        target_of(settings)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_offers() -> None:
    assert offers_of(None) is None
    assert offers_of(" accept, codec,") == {"accept", "codec"}


def test_suggestions() -> None:
    assert suggestion("handshak", ["golden", "handshake"]) == "; did you mean handshake?"
    assert suggestion("xyz", ["golden", "handshake"]) == "; known are golden, handshake"
    assert suggestion("xyz", [f"word{i}" for i in range(100)]) == ""
