"""Delivery: every span goes to every exporter or is counted as failed, with the reason."""

import logging
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.tracing.samples import REST, RUN, SUCCESS, Collected
from tracebench.model.record.exchange import Undecomposed
from tracebench.tracing.roots.delivery import Delivered
from tracebench.tracing.roots.export import export

Answer = Callable[[], SpanExportResult]


class Scripted(SpanExporter):
    """Answers each batch as told; the last answer stays."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.batches = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches += 1
        return (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])()


def accept() -> SpanExportResult:
    return SpanExportResult.SUCCESS


def refuse() -> SpanExportResult:
    return SpanExportResult.FAILURE


def refuse_aloud() -> SpanExportResult:
    logger = logging.getLogger("opentelemetry.exporter.otlp")
    logger.warning("Transient error %s,\nretrying in %d s", "UNAVAILABLE", 1)
    logger.error("Failed to export due to timeout")
    return SpanExportResult.FAILURE


def raise_full() -> SpanExportResult:
    raise OSError(28, "No space left on device")


def deliver(count: int, *exporters: SpanExporter) -> tuple[Delivered, ...]:
    rows = [SUCCESS] * count
    return export(rows, [Undecomposed.NO_TIMING] * count, REST, RUN, exporters)


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (512, [512]), (1300, [512, 512, 276])]
)
def test_spans_go_out_in_batches(count: int, sizes: list[int]) -> None:
    collected = Collected()
    assert deliver(count, collected) == (Delivered(count, 0, ""),)
    assert [len(batch) for batch in collected.batches] == sizes


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refuse, "Scripted refused the batch"),
        (refuse_aloud, "Transient error UNAVAILABLE, retrying in 1 s"),
        (raise_full, "No space left on device"),
    ],
)
def test_a_failure_is_counted_and_ends_the_trying(answer: Answer, reason: str) -> None:
    sink = Scripted(accept, answer)
    assert deliver(1300, sink) == (Delivered(512, 788, reason),)
    assert sink.batches == 2


def test_one_exporter_s_failure_is_no_other_s() -> None:
    collected = Collected()
    assert deliver(600, Scripted(refuse), collected) == (
        Delivered(0, 600, "Scripted refused the batch"),
        Delivered(600, 0, ""),
    )


def test_exporters_do_not_talk_over_us(capfd: pytest.CaptureFixture[str]) -> None:
    deliver(1, Scripted(refuse_aloud))
    assert capfd.readouterr() == ("", "")


def test_no_exporter_no_harm() -> None:
    assert deliver(3) == ()
