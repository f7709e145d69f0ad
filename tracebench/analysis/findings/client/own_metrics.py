"""Findings about the run's own metrics, which `--otlp-endpoint` gets while it runs."""

from typing import Final

from tracebench.analysis.advice import Advice, given
from tracebench.analysis.findings.finding import INFO, WARNING, FindingKind, state, weigh
from tracebench.model.results.result import Finding

_METRICS_LOST: Final = FindingKind(
    "metrics_lost",
    WARNING,
    "the run's own metrics could not be exported {value:,} of {tries:#time}: {reason}. The result "
    "does not depend on them",
    (
        Advice(
            "check that the collector at --otlp-endpoint keeps running and has a pipeline for "
            "metrics",
            given("otlp_endpoint"),
            short="check --otlp-endpoint",
        ),
        Advice("--no-otlp-metrics sends none"),
    ),
    "the run's own metrics failed to export {value:#time}",
)


def metrics_lost(failed: int, tries: int, reason: str) -> Finding | None:
    """The finding for exports of metrics that failed; None if none did."""
    return weigh(_METRICS_LOST, failed, tries=tries, reason=reason)


_METRICS_NOT_TAKEN: Final = FindingKind(
    "metrics_not_taken",
    INFO,
    "{endpoint} takes spans only, not the run's own metrics: {reason}",
    (
        Advice(
            "send to a collector with a pipeline for metrics, or say --no-otlp-metrics",
            short="--no-otlp-metrics",
        ),
    ),
    "--otlp-endpoint takes no metrics",
)


def metrics_not_taken(endpoint: str, reason: str) -> Finding:
    """The finding for an endpoint, such as Jaeger, that takes no metrics."""
    return state(_METRICS_NOT_TAKEN, "info", endpoint=endpoint, reason=reason)


KINDS: Final = (_METRICS_LOST, _METRICS_NOT_TAKEN)
