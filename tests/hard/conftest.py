"""Fixtures of the long tests."""

import pytest

from ergo_conformance.model.ergo import enp


@pytest.fixture(autouse=True)
def _patient_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a request wait for long: on a busy machine the other process may not run for seconds."""
    monkeypatch.setattr(enp, "REQUEST_TIMEOUT", 120.0)
