"""The pitfalls that need real sockets and real time; each has an answer that is known before."""

import time
from itertools import islice
from math import inf

import pytest

from tests.pitfalls.fifo import Stalling, fifo_server, lindley_s, measured
from tracebench.load.engine.pacing import arrivals_ns
from tracebench.model.plan import Segment

pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_coordinated_omission() -> None:
    """100/s for 10 s on 10 connections; all replies are held for the sixth second."""
    with fifo_server(5, 10, 5, 6) as url:
        result = measured(url, rate=100, duration_s=10.0, concurrency=10)
    from_schedule, from_send = result.components["end_to_end"], result.components["service_time"]
    assert from_schedule.p95_ms == pytest.approx(500, abs=60)
    assert from_schedule.p99_ms == pytest.approx(900, abs=60)
    assert 5 <= from_send.p95_ms < 20
    assert result.components["backlog"].max_ms == pytest.approx(900, abs=60)  # after 10 sent ones
    assert result.requests.started == result.requests.succeeded == 1_000


@pytest.mark.parametrize("utilisation", [0.5, 0.8])
def test_poisson_arrivals_queue_as_theory_says(utilisation: float) -> None:
    """The very same arrivals, in Lindley's recursion and on a socket."""
    rate, count = utilisation * 100, 300
    drawn = arrivals_ns((Segment(rate, rate, inf),), "poisson", 7)
    expected_ms = 1e3 * lindley_s([at / 1e9 for at in islice(drawn, count)], 0.010).mean()
    with fifo_server(10) as url:
        result = measured(url, rate=rate, arrival="poisson", seed=7, requests=count)
    wait_ms = result.components["end_to_end"].mean_ms - 10
    assert wait_ms == pytest.approx(expected_ms, rel=0.25)
    assert result.components["server_processing"].p50_ms == pytest.approx(10, abs=0.3)


def test_constant_arrivals_do_not_queue() -> None:
    with fifo_server(10) as url:
        result = measured(url, rate=50, requests=150)
    assert result.components["network"].p50_ms < 0.7
    assert result.components["backlog"].max_ms == 0


def test_a_stalled_client_blames_itself() -> None:
    """The loop is blocked for 20 ms in every 200: what that costs is the client's."""
    with fifo_server(5, 10) as url:
        smooth = measured(url, duration_s=2.0, concurrency=4)
        stalled = measured(
            url, duration_s=2.0, concurrency=4, watcher=Stalling(lambda: time.sleep(0.02))
        )
    for name in ("network", "server_processing"):
        before, after = smooth.components[name], stalled.components[name]
        assert after.p50_ms == pytest.approx(before.p50_ms, abs=0.3)
        assert after.p95_ms == pytest.approx(before.p95_ms, abs=1.0)
    late_ms = stalled.components["client"].mean_ms - smooth.components["client"].mean_ms
    assert late_ms == pytest.approx(_expected_lag_ms(), rel=0.5)


def _expected_lag_ms() -> float:
    """Each of 4 slots loses about 20 ms less the rest of its 5 ms exchange, once in 36 of them."""
    exchanges = 180 / 5.3 + 1
    return (20 - 5 / 2) / exchanges
