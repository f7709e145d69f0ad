"""Connections of every kind."""

import pytest

from tests.load.engines import Make, copied, mapped, shared


@pytest.fixture(params=[copied, mapped, shared], ids=["copied", "mapped", "shared"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made
