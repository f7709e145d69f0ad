"""The one grammar of limits and objectives."""

import pytest

from tracebench.analysis.objectives.limits import limits_of, objectives_of, path_of
from tracebench.model.errors import UsageError
from tracebench.model.objectives import Limit


def test_limits() -> None:
    assert limits_of("ttft<0.2s , tpot <= 25 ms") == (Limit("ttft", 200), Limit("tpot", 25))
    assert limits_of("latency < 5, inference < 900us") == (
        Limit("latency", 5),
        Limit("inference", 0.9),
    )
    assert limits_of("stream.ttft < 1s, server_other.decoder < 3ms, server.network < 1ms") == (
        Limit("ttft", 1000),
        Limit("decoder", 3),
        Limit("server.network", 1),
    )


@pytest.mark.parametrize(
    ("text", "metric", "statistic"),
    [
        ("p99", "latency", "p99_ms"),
        ("p99.9_ms", "latency", "p999_ms"),
        ("inference.p95_ms", "inference", "p95_ms"),
        ("inference.p99.9", "inference", "p999_ms"),
        ("stream.ttft.mean", "ttft", "mean_ms"),
        ("server.network.max", "server.network", "max_ms"),
        ("inference", "inference", None),
    ],
)
def test_paths(text: str, metric: str, statistic: str | None) -> None:
    assert path_of(text) == (metric, statistic)


def test_objectives() -> None:
    p99, mean, limits = objectives_of("p99 < 50ms, itl.mean < 1s, ttft < 5ms, tpot < 6ms", 0.95)
    assert (p99.limits, p99.share) == ((Limit("latency", 50),), 0.99)
    assert (mean.limits, mean.share) == ((Limit("itl", 1000),), None)
    assert (limits.limits, limits.share) == ((Limit("ttft", 5), Limit("tpot", 6)), 0.95)
    assert limits.expression == "95% of the requests with ttft < 5ms and tpot < 6ms"


@pytest.mark.parametrize(
    ("slo", "said"),
    [
        ("", "is no limit"),
        ("ttft", "'ttft' is no limit"),
        ("ttft < 5ms,", "'' is no limit"),
        ("ttft > 5ms", "METRIC < VALUE"),
        ("ttft < 1.2.3ms", "is no limit"),
        ("ttft < -1ms", "is no limit"),
        ("ttft < nan", "is no limit"),
        ("ttft < 5%", "a time above 0"),
        ("ttft < 0ms", "a time above 0"),
        ("ttft < 1e999", "a time above 0"),
        ("itl < 5ms", "many values a request"),
        ("p95 < 5ms", "use --fail-if"),
        ("infrence < 5ms", "did you mean 'inference'"),
        ("latncy.p95 < 5ms", "did you mean 'latency'"),
    ],
)
def test_what_is_no_limit(slo: str, said: str) -> None:
    with pytest.raises(UsageError, match="--slo") as refused:
        limits_of(slo)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("slo", "said"),
    [
        ("max < 5ms", "grows with the number"),
        ("itl.p95 < 5ms", "limit 'tpot'"),
        ("p95", "no limit"),
    ],
)
def test_what_is_no_objective(slo: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        objectives_of(slo, 0.99)
