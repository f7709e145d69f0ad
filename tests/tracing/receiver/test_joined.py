"""What is said of spans that did not come, and of what was refused."""

from dataclasses import replace

import numpy as np
import pytest

from tests.records import record
from tests.tracing.samples import MIRROR, SUCCESS, TIMED_OUT
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload, SpanRoutes
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.record.span_columns import SpanTable
from tracebench.tracing.receiver.client import Received
from tracebench.tracing.receiver.collect import check_receiver, doubts
from tracebench.tracing.traces import Traces

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")
SILENT = Undecomposed.NO_TIMING


def received(missing: int = 0) -> Received:
    return Received(
        spans=SpanTable().finished(),
        wanted=1000,
        missing=np.arange(missing),
        received=4000,
        rejected=0,
        dropped=0,
        forwarded=0,
        forward_failed=0,
        refused={},
        ended_by="no more came within 6 s",
    )


EXCHANGES = [SUCCESS._replace(trace_id=f"{n:032x}") for n in range(1000)]


@pytest.mark.parametrize(
    ("missing", "severity"),
    [(1, "info"), (5, "info"), (6, "warning"), (50, "warning"), (51, "invalid")],
)
def test_requests_without_spans(missing: int, severity: str) -> None:
    [finding] = doubts(received(missing), *record(EXCHANGES, [SILENT] * 1000))
    assert (finding.code, finding.severity) == ("low_join_share", severity)
    assert f"({missing} of 1,000): no more came within 6 s" in finding.message


def test_a_mirror_covers_what_is_missing() -> None:
    [finding] = doubts(received(900), *record(EXCHANGES, [MIRROR] * 1000))
    assert finding.severity == "warning"
    assert "90 %" in finding.message


def test_nothing_is_said_where_all_came() -> None:
    assert doubts(received(), *record(EXCHANGES, [SILENT] * 1000)) == []


def test_what_was_refused_is_told() -> None:
    trouble = replace(
        received(),
        rejected=2,
        problem="it has no end",
        dropped=3,
        refused={"no room": 4},
        forward_failed=5,
    )
    found = doubts(trouble, *record([TIMED_OUT], [SILENT]))
    assert [finding.code for finding in found] == ["spans_refused", "unusable_spans", "spans_lost"]
    assert "7 requests or spans" in found[0].message
    assert "no room (4)" in found[0].message
    assert found[1].message == "2 server spans cannot be used: it has no end"
    assert found[2].message.startswith("5 spans")


@pytest.mark.parametrize(
    ("receive", "forward", "complaint"),
    [
        (None, "http://x:4318", "nothing to forward"),
        ("127.0.0.1:4317", "ftp://x", "ftp"),
        ("127.0.0.1:x", None, "cannot receive"),
    ],
)
def test_plans_that_cannot_be_meant(
    receive: str | None, forward: str | None, complaint: str
) -> None:
    routes = SpanRoutes(receive_otlp=receive, forward_otlp=forward)
    with pytest.raises(UsageError, match=complaint):
        check_receiver(routes)
    with pytest.raises(UsageError, match=complaint):
        Traces(routes)
