"""A receiver in its own process, as a run starts it."""

from collections.abc import Iterator

import pytest

from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.settings import Bounds

TIGHT = Bounds(
    body_bytes=100_000,
    kept_bytes=300_000,
    head_bytes=4096,
    connections=50,
    request_s=1.0,
    idle_s=2.0,
)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver("127.0.0.1:0") as started:
        yield started


@pytest.fixture
def tight() -> Iterator[Receiver]:
    with Receiver("127.0.0.1:0", bounds=TIGHT) as started:
        yield started
