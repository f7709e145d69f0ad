"""The one table of findings: in order, and documented as it is."""

from collections.abc import Mapping
from types import ModuleType

import pytest

from tools.verdict_table import PAGE, page
from tracebench.analysis.advice import pieces
from tracebench.analysis.findings.finding import SEVERITIES, FindingKind, weigh
from tracebench.analysis.numbers import Wording
from tracebench.analysis.verdict import FINDINGS, TOPICS
from tracebench.model.results.statistics import PERMILLE

NAMED = """client_saturated rate_not_met arrivals_not_as_asked not_stationary warmup_too_short
too_few_samples correlated_samples unexplained_share negative_network clock_stepped errors
connection_churn cpu_shared noisy_neighbour cached_replies loop_lag gc_pauses uneven_slots"""


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run `make verdict`"


@pytest.mark.parametrize("code", NAMED.split())
def test_what_was_promised_is_judged(code: str) -> None:
    assert code in FINDINGS
    assert f"| `{code}` |" in page()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.__name__)
def test_each_topic_lists_all_its_kinds(topic: ModuleType) -> None:
    kinds = [one for one in vars(topic).values() if isinstance(one, FindingKind)]
    assert list(topic.KINDS) == kinds


def test_no_code_has_two_meanings() -> None:
    assert len(FINDINGS) == sum(len(topic.KINDS) for topic in TOPICS)


@pytest.mark.parametrize("code", FINDINGS)
def test_the_table_is_in_order(code: str) -> None:
    kind = FINDINGS[code]
    assert list(kind.levels) == sorted(kind.levels, key=lambda level: level[0])
    ranks = [SEVERITIES.index(severity) for _, severity in kind.levels]
    assert ranks == sorted(set(ranks))
    assert kind.message
    assert kind.hint
    assert kind.brief
    assert {*kind.explained_by} <= {*FINDINGS}
    assert {*kind.spoils} <= {"mean", *(name.removesuffix("_ms") for name in PERMILLE)}


LIKELY: Mapping[str, object] = {
    "names": "p90, p95, p99, p999",
    "known": "[12.3, 23.4] ms",
    "share": 0.02,
    "late": " or timed out",
    "after": "1,000 tokens",
    "when": " at 17 %",
    "moved": "fell",
    "governors": "powersave",
    "what": "network time",
    "sent": 123.4,
    "name": "p95",
    "who": "load-1:12345",
    "lost": 12,
    **dict.fromkeys(("its", "others", "late_ms"), 12.3),
    **dict.fromkeys(("why", "reason", "rules", "path", "loads"), "…"),  # which may be cut
    **dict.fromkeys(("achieved_rps", "asked_rps", "count", "started"), 12_345),
    **dict.fromkeys(("before_ms", "after_ms", "waiting_ms", "mean", "median_ms"), 123.4),
    **dict.fromkeys(("cut", "bad", "asked", "step_ms", "effective", "traced"), 1_234),
    **dict.fromkeys(("steps", "slots", "load", "times"), 64),
    **dict.fromkeys(("at", "off"), 0.25),
    "events": 1.25,
    **dict.fromkeys(("failed", "tries"), 123),
}


@pytest.mark.parametrize("code", FINDINGS)
def test_a_finding_and_its_fix_fit_in_a_line(code: str) -> None:
    kind = FINDINGS[code]
    value = 1_234 if "{value:#" in kind.brief else 1.2 if "{value:." in kind.brief else 0.1234
    brief = Wording().vformat(kind.brief, (), {**LIKELY, "value": value})
    fixes = [one.short for one in pieces(kind.hint) if one.short]
    assert fixes
    longest = max(len(fix) if isinstance(fix, str) else len("--requests 123000") for fix in fixes)
    assert len(brief) + len(": ") + longest <= 76


def test_a_value_on_the_limit_is_below_it() -> None:
    assert weigh(FINDINGS["gc_pauses"], 0.001) is None
    finding = weigh(FINDINGS["gc_pauses"], 0.0011)
    assert finding is not None
    assert finding.severity == "info"
