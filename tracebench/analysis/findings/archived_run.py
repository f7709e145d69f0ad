"""Findings about results read from an archive."""

from typing import Final

from tracebench.analysis.advice import Advice
from tracebench.analysis.findings.finding import INFO, WARNING, FindingKind, weigh
from tracebench.model.results.result import Finding

_UNREADABLE_ARCHIVE: Final = FindingKind(
    "unreadable_archive",
    ((0.0, "info"), (0.01, "warning")),
    "{bad:#line or span|lines or spans} of the archive cannot be read: {why}",
    (
        Advice(
            "check that the file is complete; only what can be read counts here",
            short="check that the file is complete",
        ),
    ),
    "{bad:#line or span|lines or spans} cannot be read",
)


def unreadable(bad: int, spans: int, problem: str) -> Finding | None:
    """The finding for `bad` unreadable lines or spans beside `spans` good ones; None if none."""
    return weigh(_UNREADABLE_ARCHIVE, bad / (bad + spans) if bad else 0.0, bad=bad, why=problem)


_NO_RUN_FACTS: Final = FindingKind(
    "no_run_facts",
    INFO,
    "the archive lacks the other facts of the run (CPU time, TCP, plan): "
    "duration and rate are those from the first request to the last",
    (
        Advice(
            "let the collector keep the resource attribute tracebench.run.facts",
            short="keep tracebench.run.facts",
        ),
    ),
    "the archive lacks CPU time, TCP and plan",
)


def facts_lost() -> Finding | None:
    """The finding for root spans of tracebench without the facts of their run."""
    return weigh(_NO_RUN_FACTS, 1)


_RULES_MISSING: Final = FindingKind(
    "rules_missing",
    WARNING,
    "the run mapped spans by the rules in {path!r}, which is missing here: the components "
    "may differ from the run's",
    (Advice("give the file with --mapping", short="give --mapping"),),
    "the run's mapping rules {path!r} are missing",
)


def rules_missing(path: str) -> Finding | None:
    """The finding for a run whose mapping file is missing."""
    return weigh(_RULES_MISSING, 1, path=path)


_UNTRACED_MISSING: Final = FindingKind(
    "untraced_missing",
    WARNING,
    "the archive holds only the requests that asked for tracing: counts and throughput cover "
    "only those",
    (Advice("see the run's own result (--output-json)", short="see the run's --output-json"),),
    "the archive has the traced requests only",
)


def untraced_missing() -> Finding | None:
    """The finding for a run with `--observer-effect` or `--trace-share`: some have no spans."""
    return weigh(_UNTRACED_MISSING, 1)


_OTHER_CLIENT: Final = FindingKind(
    "other_client",
    INFO,
    "another client made these requests: only their start and end are known, so backlog, connect "
    "and client are 0 here, and the client's own time is counted as network",
    (
        Advice(
            "measure with `tracebench run` to separate the client from the network",
            short="measure with `run`",
        ),
    ),
    "the client's own time counts as network",
)


def other_client() -> Finding | None:
    """The finding for requests sent by another client."""
    return weigh(_OTHER_CLIENT, 1)


KINDS: Final = (
    _UNREADABLE_ARCHIVE,
    _NO_RUN_FACTS,
    _RULES_MISSING,
    _UNTRACED_MISSING,
    _OTHER_CLIENT,
)
