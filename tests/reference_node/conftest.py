"""Fixtures of the tests of the reference node."""

import pytest

from ergo_conformance.model.ergo import esrd, saturn

DEADLINES = (
    (esrd, "REGISTER_TIMEOUT"),
    (esrd, "RESOLVE_TIMEOUT"),
    (saturn, "REGISTER_WITHIN"),
    (saturn, "ANSWER_TIMEOUT"),
    (saturn, "RESOLVE_TIMEOUT"),
    (saturn, "DIAL_TIMEOUT"),
)


@pytest.fixture(autouse=True)
def long_registrar_deadlines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the deadlines of registrars over sockets to 60 s: under load a step may take seconds."""
    if request.node.get_closest_marker("real_loop"):
        for module, name in DEADLINES:
            monkeypatch.setattr(module, name, 60.0)
