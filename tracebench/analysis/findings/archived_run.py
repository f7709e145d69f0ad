"""What is to be said of a result that was read from an archive."""

from tracebench.analysis.findings.finding import weigh
from tracebench.model.result import Finding


def unreadable(bad: int, spans: int, problem: str) -> Finding | None:
    """Of what could not be read: `bad` lines or spans, beside so many that could."""
    return weigh("unreadable_archive", bad / (bad + spans) if bad else 0.0, bad=bad, why=problem)


def facts_lost() -> Finding | None:
    """Of root spans of ours without what their run knew."""
    return weigh("no_run_facts", 1)


def rules_missing(path: str) -> Finding | None:
    """Of a run whose file of mapping rules is not where it was."""
    return weigh("rules_missing", 1, path=path)


def untraced_missing() -> Finding | None:
    """Of a run with `--observer-effect`: no spans were made for half of its requests."""
    return weigh("untraced_missing", 1)


def other_client() -> Finding | None:
    """Of requests that another client made."""
    return weigh("other_client", 1)
