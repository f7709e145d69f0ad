"""Workers: what is said of each, and the runs that deserve a finding about them, or just do not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.samples import MS, SUCCESS, load
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.findings.client.near_floor import describe_floor
from tracebench.analysis.summary.summary import summarise
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Exchange
from tracebench.model.results.result import Finding, Floor, Result, TargetResult
from tracebench.model.results.workers import Worker
from tracebench.report.answer.worker_lines import worker_lines
from tracebench.report.files.result_file import dumps, loads

LASTED_S = 2.0


def request(number: int, longer_ns: int) -> Exchange:
    """A success that begins so many ms later, and whose server takes longer."""
    by = number * MS
    moved = {name: getattr(SUCCESS, name) + by for name in ("scheduled_ns", "ready_ns", "sent_ns")}
    ended = ("first_byte_ns", "arrived_ns", "done_ns")
    later = {name: getattr(SUCCESS, name) + by + longer_ns for name in ended}
    return SUCCESS._replace(**moved, **later)


def shared(*longer_ms: float, each: int = 400, **facts: float | str) -> Measurement:
    """A load that as many workers shared, each with its own latencies; draws alternate."""
    noise = np.random.default_rng(1).integers(0, MS // 10, each * len(longer_ms))
    made = [
        request(at, int(longer_ms[at % len(longer_ms)] * MS) + int(noise[at]))
        for at in range(each * len(longer_ms))
    ]
    workers = [Worker(f"host{at}", 100 + at, cpu_s=0.1) for at in range(len(longer_ms))]
    workers[-1] = replace(workers[-1], **facts)  # type: ignore[arg-type]
    return replace(load(made), workers=tuple(workers))


def judged(run: Measurement, floor: Floor | None = None) -> TargetResult:
    return summarise("a", run, decompose(run.requests, run.times), floor=floor)


def of(result: TargetResult, code: str) -> Finding | None:
    return next((one for one in result.verdict.findings if one.code == code), None)


CODES = (
    *("worker_lost", "odd_worker", "worker_lag", "started_apart"),
    *("fewer_workers", "floor_of_one"),
)


def test_workers_that_agree_are_told_and_nothing_is_said_against_them() -> None:
    result = judged(shared(0, 0, 0))
    assert [one.requests for one in result.workers] == [400] * 3
    assert [one.throughput_rps for one in result.workers] == [400 / LASTED_S] * 3
    medians = [one.p50_ms for one in result.workers if one.p50_ms is not None]
    assert medians == pytest.approx([10.25] * 3, abs=0.02)
    assert not any(of(result, code) for code in CODES)
    assert loads(dumps(_run(result))).targets["a"].workers == result.workers


def _run(result: TargetResult) -> Result:
    return Result({}, {}, {}, "", {"a": result})


def test_one_process_has_no_workers() -> None:
    assert judged(load([SUCCESS] * 50)).workers == ()


@pytest.mark.parametrize(("longer_ms", "severity"), [(0.3, None), (1.0, "info"), (3.0, "warning")])
def test_an_odd_worker(longer_ms: float, severity: str | None) -> None:
    found = of(judged(shared(0, 0, 0, longer_ms)), "odd_worker")
    assert (found and found.severity) == severity
    if found:
        assert "host3:103" in found.message


def test_medians_within_fifty_microseconds_are_not_odd() -> None:
    run = shared(-10.15, -10.15, -10.11)  # medians of some 0.1 ms, of which 0.04 is much
    assert of(judged(run), "odd_worker") is None


def test_a_lost_worker() -> None:
    result = judged(shared(0, 0, lost="it died"))
    found = of(result, "worker_lost")
    assert found is not None
    assert found.message == (
        "1 of 2 workers were lost, with the results of their share of the load: host1:101 (it died)"
    )
    assert result.verdict.valid


@pytest.mark.parametrize(
    ("stalled_s", "severity"), [(0.03, None), (0.05, "info"), (0.2, "warning")]
)
def test_a_worker_that_lags(stalled_s: float, severity: str | None) -> None:
    found = of(judged(shared(0, 0, stalled_s=stalled_s)), "worker_lag")
    assert (found and found.severity) == severity


@pytest.mark.parametrize(
    ("late_ms", "within_ms", "severity"),
    [(5, 4, None), (11, 0, "info"), (0, 11, "info"), (150, 0, "warning")],
)
def test_workers_that_began_apart(late_ms: float, within_ms: float, severity: str | None) -> None:
    run = shared(0, 0, start_late_ms=late_ms, clock_within_ms=within_ms)
    found = of(judged(run), "started_apart")
    assert (found and found.severity) == severity


def test_fewer_processes_than_were_asked_for() -> None:
    run = shared(0, 0)
    assert of(judged(replace(run, processes=2)), "fewer_workers") is None
    found = of(judged(replace(run, processes=4)), "fewer_workers")
    assert found is not None
    assert "2 of the 4 processes" in found.message


def test_a_floor_is_measured_by_one() -> None:
    floor = describe_floor(load([request(at, 0) for at in range(50)]), in_the_clear=False)
    assert of(judged(shared(0, 0), floor), "floor_of_one") is not None
    assert of(judged(load([SUCCESS] * 50), floor), "floor_of_one") is None


def lines(workers: Sequence[Worker]) -> list[str]:
    return list(worker_lines(workers))


def test_lines_of_workers() -> None:
    result = judged(shared(0, 1.0, stalled_s=0.004))
    first, one, other = lines(result.workers)
    assert first == "2 workers on 2 hosts: p50 10.25 to 11.25 ms, p99 10.30 to 11.30 ms"
    assert one == "  host0:100  400 requests  200/s  p50 10.25, p99 10.30 ms  CPU 0.10 s"
    assert other.endswith("stalled 4.00 ms")
    assert lines(()) == []
    lost = replace(result.workers[0], lost="it died")
    many = lines([*[result.workers[0]] * 40, lost])
    assert len(many) == 1 + 16 + 1 + 1
    assert many[-2:] == ["  host0:100  lost: it died", "  24 more: see --output-json"]
