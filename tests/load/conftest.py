"""Connections of every kind, and a machine that may be slow."""

import pytest

from tests.load.engines import Make, copied, mapped, shared
from tracebench.load.engine import kernel


@pytest.fixture(params=[copied, mapped, shared], ids=["copied", "mapped", "shared"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time to close: what is tested is not how fast it is."""
    monkeypatch.setattr(kernel, "_LEAST_CROSSING_NS", 2_000_000_000)
