"""Invalid options raise UsageError."""

from collections.abc import Callable

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.reference_node.api.validation import check_name
from ergo_conformance.reference_node.connection import tls as certificates
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkOptions, NodeOptions


@pytest.mark.parametrize("name", ["", "a", "@", "a@", "@b", "a@b@c", "a@" + "b" * 254])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"node name|host name|too long Atom"):
        check_name(name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AcceptorOptions(port=65_536),
        lambda: AcceptorOptions(max_message_size=-1),
        lambda: AcceptorOptions(cookie="\ud800"),
        lambda: NetworkOptions(max_message_size=2**63),
        lambda: NodeOptions(version=Version("x" * 10_000)),
        lambda: EhsHandshake(pool_size=0),
        lambda: EhsHandshake(pool_size=ehs.MAX_POOL_SIZE + 1),
        lambda: certificates.load("/nowhere/cert.pem", "/nowhere/key.pem"),
        lambda: certificates.load(__file__, __file__),
        lambda: certificates.client_context("/nowhere/ca.pem"),
    ],
)
def test_an_invalid_option_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()
