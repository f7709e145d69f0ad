"""A clock that stands still until it is told to go on: stamps are known to the nanosecond."""

import pytest

BEGAN_NS = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = BEGAN_NS

    def __call__(self) -> int:
        return self.now_ns

    def go(self, ms: int) -> None:
        self.now_ns += ms * 1_000_000

    def since_ms(self, stamp_ns: int | None) -> float:
        """When that was, since it began to go."""
        assert stamp_ns is not None
        return (stamp_ns - BEGAN_NS) / 1e6


def stopped(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of each request that begins from now on in this test."""
    clock = Clock()
    monkeypatch.setattr("server_middleware.recording.recorder.perf_counter_ns", clock)
    monkeypatch.setattr("server_middleware.recording.recorder.time_ns", clock)
    return clock
