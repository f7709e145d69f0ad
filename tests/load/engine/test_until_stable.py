"""`--until-stable`: the run ends when it is known well enough, or says that it is not."""

import pytest

from tests.plans import plan_of
from tests.records import Recorded
from tests.servers import answering, reply, serving
from tracebench.benchmark import run
from tracebench.load.measuring.until_stable import UntilStable
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.wire.codec import Slot
from tracebench.model.plan import Payload, Segment, Stability
from tracebench.model.record.exchange import Stamp
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(b"x", "text/plain", "x", "data")
CLOSE, TOO_CLOSE = Stability("p50_ms", 0.05), Stability("p50_ms", 1e-9)


def rows(*latencies_ms: float) -> RowRecorder:
    recorder = Recorded().recorder
    slot = Slot(lambda _slot: None)
    for ms in latencies_ms:
        recorder.write(slot, 0, round(ms * 1e6), Stamp.KERNEL)
    return recorder


def test_a_narrow_interval_is_enough_when_it_is_seen_twice() -> None:
    enough = UntilStable(CLOSE)
    assert not enough(rows(*[10.0, 10.1] * 200))
    assert enough(rows(*[10.0, 10.1] * 230))


def test_a_wide_interval_is_not() -> None:
    enough = UntilStable(CLOSE)
    assert not enough(rows(*[10.0, 10.1] * 200))
    assert not enough(rows(*[10.0, 30.0] * 230))


def test_too_few_are_not_looked_at() -> None:
    assert not UntilStable(CLOSE)(rows(*[10.0] * 50))


def test_a_look_comes_only_when_the_run_has_grown() -> None:
    enough = UntilStable(CLOSE)
    assert not enough(rows(*[10.0] * 200))
    assert not enough(rows(*[10.0] * 210))
    assert enough(rows(*[10.0] * 230))


def measured(stability: Stability, **plan: object) -> TargetResult:
    with serving(answering(reply(), service_s=0.002)) as port:
        planned = plan_of(
            PAYLOAD,
            rest_url=f"http://127.0.0.1:{port}/",
            until_stable=stability,
            **plan,
        )
        return run(planned).targets["rest"]


@pytest.mark.parametrize("rate", [None, (Segment(100, 100, float("inf")),)])
def test_a_run_ends_as_soon_as_it_may(rate: tuple[Segment, ...] | None) -> None:
    found = measured(Stability("p50_ms", 0.5), requests=None, duration_s=20.0, rate=rate)
    assert found.duration_s < 10
    assert found.requests.started == found.requests.succeeded >= 100
    assert "not_stable" not in {finding.code for finding in found.verdict.findings}


def test_a_run_that_was_too_short_is_invalid() -> None:
    found = measured(TOO_CLOSE, requests=150)
    assert not found.verdict.valid
    assert "not_stable" in {finding.code for finding in found.verdict.findings}
