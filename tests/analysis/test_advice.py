"""No advice that the plan follows already, or that the figures contradict: over all plans."""

import re
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import CANCELLED, FAILED, MS, NEAR, SUCCESS, TIMED_OUT, load
from tests.plans import changed, plan_of
from tests.records import decomposed
from tracebench.analysis.advice import Situation, fitting
from tracebench.analysis.findings.client.near_floor import beside_floor, describe_floor
from tracebench.analysis.interpretation import interpret
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import FINDINGS, advised
from tracebench.model.plan import Payload, Payloads, Plan, Segment, Stability
from tracebench.model.record.exchange import Exchange, Stamp, Timing, Undecomposed
from tracebench.model.results.result import TargetResult, TcpInfo
from tracebench.system.environment import plan_facts

PAYLOAD = Payload(b"{}", "application/json", "in.json", "json")
CHANGING = (Segment(10, 200, 30.0),)
ENDLESS = (Segment(100, 100, inf),)

plans = st.builds(
    plan_of,
    payload=st.just(PAYLOAD),
    rest_url=st.just("http://model:5000"),
    oip=st.sampled_from([None, "resnet"]),
    requests=st.sampled_from([None, 100]),
    duration_s=st.sampled_from([None, 10.0]),
    until_stable=st.sampled_from([None, Stability("p95_ms", 0.02)]),
    concurrency=st.sampled_from([1, 2, 64]),
    rate=st.sampled_from([None, CHANGING, ENDLESS]),
    schedule_s=st.sampled_from([None, (0.0, 1.0, 2.0)]),
    warmup=st.sampled_from([0, 10, "auto"]),
    connections=st.sampled_from([None, 1, 4]),
    receive_otlp=st.sampled_from([None, "127.0.0.1:4317"]),
    otlp_endpoint=st.sampled_from([None, "http://127.0.0.1:4318"]),
    forward_otlp=st.sampled_from([None, "http://127.0.0.1:4318"]),
    output_traces=st.sampled_from([None, "t.jsonl"]),
    jaeger=st.sampled_from([None, "http://127.0.0.1:16686"]),
    floor=st.booleans(),
).map(lambda plan: changed(plan, schedule_s=None) if plan.load.rate else plan)
environments = st.fixed_dictionaries(
    {"cpus": st.sampled_from([1, 8]), "platform": st.sampled_from(["Linux-6.1", "macOS-15.0"])}
)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Exchange]:
    """Some hundred requests of one kind or another, with a step in their latency."""
    count = draw(st.sampled_from([3, 40, 400]))
    waited_ms = draw(st.sampled_from([0.3, 10.0, 900.0]))
    step = draw(st.sampled_from([1.0, 1.5, 4.0]))
    began = draw(st.sampled_from([0.02, 0.5, 1.0]))
    client_ns = draw(st.sampled_from([1_000, 20 * MS]))
    backlog_ns = draw(st.sampled_from([0, 50 * MS]))
    stamp = draw(st.sampled_from(list(Stamp)))
    bad = draw(st.sampled_from([[], [FAILED], [TIMED_OUT], [CANCELLED]]))
    found = []
    for number in range(count):
        at_ns = 10**9 + number * 100 * MS
        waited_ns = round(waited_ms * MS * (step if number > count / 3 else 1) + number * 7919 % MS)
        found.append(
            SUCCESS._replace(
                scheduled_ns=at_ns - backlog_ns,
                ready_ns=at_ns,
                sent_ns=at_ns,
                first_byte_ns=at_ns + round(began * waited_ns),
                arrived_ns=at_ns + waited_ns,
                done_ns=at_ns + waited_ns + client_ns,
                write_lag_ns=draw(st.just(0)),
                stamp=stamp,
            )
        )
    return found + bad * (count // 5)


ACCOUNTS: list[Timing | Undecomposed] = [
    Undecomposed.NO_TIMING,
    Undecomposed.MALFORMED,
    Timing(MS // 10, {}, "mirror", came_with="stream"),
    Timing(MS // 10, {}, "mirror", came_with="head"),
    Timing(MS // 10, {}, "otlp"),
    Timing(MS // 5, {"inference": MS // 10}, "mirror"),
]


@st.composite
def results(draw: st.DrawFn, plan: Plan | None = None) -> TargetResult:
    """What a run may have come to: one of this plan, or of any."""
    ran = draw(exchanges())
    run = replace(
        load(ran, tcp=draw(st.sampled_from([None, NEAR, TcpInfo(0.01, 0.02, 0, 1)]))),
        asked_rps=30.0 if plan is None or plan.load.is_open else 0.0,
        stalled_s=draw(st.sampled_from([0.0, 0.3])),
        idle_share=draw(st.sampled_from([None, 0.05])),
        same_host=draw(st.booleans()),
        compressed_share=draw(st.sampled_from([None, 0.01])),
        interrupted=draw(st.booleans()),
        gave_up=draw(st.sampled_from(["", "no reply came for 5 s"])),
        until_stable=plan.load.until_stable if plan is not None else None,
    )
    has_floor = plan is not None and plan.influence.floor
    floor = describe_floor(load([SUCCESS]), in_the_clear=False) if has_floor else None
    timing = draw(st.sampled_from(ACCOUNTS))
    result = summarise("x", run, decomposed(ran, [timing] * len(ran)), floor=floor)
    return beside_floor(result, floor)


Doubt = Callable[[dict[str, Any], dict[str, Any], TargetResult], bool]

PLAIN_CHANGING = {"from_rps": 10, "to_rps": 200, "duration_s": 30.0}
FOLLOWED: dict[str, Doubt] = {
    r"lower (--concurrency|the concurrency)": lambda plan, *_: (
        plan["concurrency"] == 1 or plan["rate"] or plan["schedule_s"]
    ),
    r"(lower|with) --rate": lambda plan, *_: not plan["rate"],
    r"--arrivals": lambda plan, *_: not plan["schedule_s"],
    r"more (workers|threads)": lambda plan, *_: plan["concurrency"] == 1,
    r"--warmup": lambda plan, *_: plan["warmup"] == "auto",
    r"--floor": lambda plan, *_: plan["floor"],
    r"--receive-otlp (receives|can)": lambda plan, *_: plan["receive_otlp"] or plan["jaeger"],
    r"leave out --connections": lambda plan, *_: plan["connections"] is None,
    r"--otlp-endpoint": lambda plan, *_: not plan["otlp_endpoint"],
    r"--output-traces": lambda plan, *_: not plan["output_traces"],
    r"--forward-otlp": lambda plan, *_: not plan["forward_otlp"],
    r"longer \(--requests, --duration\)": lambda plan, *_: (
        plan["until_stable"] or plan["schedule_s"] or plan["rate"] == [PLAIN_CHANGING]
    ),
    r"narrower --until-stable": lambda plan, *_: not plan["until_stable"],
    r"Linux": lambda _, environment, __: environment["platform"].startswith("Linux"),
    r"taskset": lambda _, environment, __: environment["cpus"] == 1,
    r"a longer --timeout": lambda _, __, result: not result.requests.timed_out,
}
"""What a hint says → whether that is followed already, or cannot help."""


def assert_fits(
    hint: str, plan: dict[str, Any], environment: dict[str, Any], result: TargetResult
) -> None:
    for pattern, followed in FOLLOWED.items():
        if re.search(pattern, hint):
            assert not followed(plan, environment, result), hint


@given(plans, environments, st.data())
def test_no_finding_advises_what_the_plan_does_already(
    plan: Plan, environment: dict[str, Any], data: st.DataObject
) -> None:
    facts, result = plan_facts(plan, {}), data.draw(results(plan))
    told = advised({"rest": result}, facts, environment)["rest"]
    assert len(told.verdict.findings) == len(result.verdict.findings)
    for finding in told.verdict.findings:
        assert_fits(finding.hint, facts, environment, result)
        assert_fits(finding.fix, facts, environment, result)
    for said in interpret(result, facts, environment):
        assert_fits(said, facts, environment, result)


@given(plans, environments, results(), st.sampled_from(sorted(FINDINGS)))
def test_neither_would_any_other_finding(
    plan: Plan, environment: dict[str, Any], result: TargetResult, code: str
) -> None:
    facts = plan_facts(plan, {})
    hint = fitting(FINDINGS[code].hint, Situation(facts, environment, result))
    assert_fits(hint, facts, environment, result)
    if code not in ("shared_stamps", "floor_unknown", "spans_lost"):  # a plan without has none
        assert hint


@given(
    st.dictionaries(
        st.sampled_from(list(plan_facts(Plan(Payloads(PAYLOAD)), {}))), st.none() | st.text()
    )
)
def test_an_archive_s_plan_may_be_nonsense(plan: dict[str, Any]) -> None:
    result = summarise("x", load([SUCCESS]), decomposed([SUCCESS], [Undecomposed.NO_TIMING]))
    for kind in FINDINGS.values():
        fitting(kind.hint, Situation(plan, {}, result))
    interpret(result, plan)


@pytest.mark.parametrize("pattern", FOLLOWED)
def test_what_is_watched_for_is_said_somewhere(pattern: str) -> None:
    """So that a hint in other words does not slip through."""
    hints = " ".join(
        text
        for kind in FINDINGS.values()
        for text in ([kind.hint] if isinstance(kind.hint, str) else [a.text for a in kind.hint])
    )
    assert re.search(pattern, hints)
