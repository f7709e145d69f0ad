"""What the bars, tables and commands of a page are worked out to be."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.test_bad_input import IMAGE
from tests.report.samples import ALL, OWN_MS, both, own_parts, result, target
from tracebench.cli.options.plan_options import plan as planned
from tracebench.cli.run import run
from tracebench.model.plan import Plan
from tracebench.model.results.result import Difference, Exemplar
from tracebench.report.page.command import command
from tracebench.report.page.differences import difference_rows
from tracebench.report.page.views import of_run
from tracebench.report.page.waterfall import Bar, rows, waterfalls
from tracebench.report.several import together
from tracebench.system.environment import plan_facts

# Mean components.


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
def test_bars_follow_each_other_and_fill_the_whole(shown: Any) -> None:
    for one in shown.targets.values():
        if not one.components:
            continue
        found = list(rows(one, one.components["end_to_end"].mean_ms))
        bars = [row.bar for row in found if row.kind == "leaf" and row.bar is not None]
        ends = [bar.begin + bar.width for bar in bars]
        assert [bar.begin for bar in bars] == pytest.approx([0.0, *ends[:-1]])
        assert ends[-1] == pytest.approx(100)


def test_parts_lie_within_their_parent() -> None:
    one = own_parts().targets["rest"]
    found = {row.name: row for row in rows(one, one.components["end_to_end"].mean_ms)}
    other, (first, second) = found["server_other"].bar, (found[name].bar for name in OWN_MS)
    assert other is not None
    assert first is not None
    assert second is not None
    assert first.begin == other.begin
    assert second.begin == pytest.approx(first.begin + first.width)
    assert second.begin + second.width < other.begin + other.width
    assert {found[name].kind for name in OWN_MS} == {"part"}


def test_targets_that_are_far_apart_have_a_scale_each() -> None:
    near = of_run(together(result(a=target(), b=target(scale=lambda _number: 40.0))))
    far = of_run(together(result(a=target(), b=target(scale=lambda _number: 4_000.0))))
    assert (near.one_scale, far.one_scale) == (True, False)
    ends = [one.rows[-1].bar for one in far.targets]
    assert [bar.width for bar in ends if bar] == pytest.approx([100, 100])
    ends = [one.rows[-1].bar for one in near.targets]
    assert [bar.width for bar in ends if bar] == pytest.approx([50, 100], rel=0.01)


# Single requests.


def drawn(one: Exemplar, parts_of: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Any]:
    base = target()
    (found,) = waterfalls(replace(base, exemplars=(one,), parts_of=parts_of or {}))
    return {piece.name: piece for piece in found.pieces}


STAMPS = {"ready": 10.0, "sent": 12.0, "first_byte": 90.0, "arrived": 96.0, "done": 100.0}


def test_a_request_is_drawn_along_its_stamps() -> None:
    components = {
        "backlog": 4.0,
        "connect": 6.0,
        "client": 6.0,
        "network": 20.0,
        "server_processing": 60.0,
        "inference": 50.0,
        "prefill": 30.0,
        "server_other": 10.0,
        "body": 4.0,
    }
    one = Exemplar(99.0, "t", 100.0, stamps=STAMPS, components=components)
    found = drawn(one, {"inference": ("prefill",)})
    assert {name: piece.bars for name, piece in found.items()} == {
        "backlog": (Bar(0, 4),),
        "connect": (Bar(4, 6),),
        "client": (Bar(10, 2), Bar(96, 4)),
        "network": (Bar(12, 10), Bar(82, 10)),
        "inference": (Bar(22, 50),),
        "prefill": (Bar(22, 30),),
        "server_other": (Bar(72, 10),),
        "body": (Bar(92, 4),),
    }
    assert {name for name, piece in found.items() if piece.is_part} == {"prefill"}
    assert sum(piece.ms for piece in found.values() if not piece.is_part) == 100


def test_a_request_without_a_decomposition_is_drawn_as_the_client_saw_it() -> None:
    one = Exemplar(100.0, "t", 100.0, stamps=STAMPS, components={"client": 6.0})
    assert {name: piece.bars for name, piece in drawn(one).items()} == {
        "backlog": (Bar(0, 10),),
        "client": (Bar(10, 2), Bar(96, 4)),
        "server_and_network": (Bar(12, 84),),
    }


def test_a_time_out_is_drawn_as_a_wait_without_a_reply() -> None:
    one = Exemplar(50.0, "t", 100.0, stamps={"ready": 0.0, "sent": 2.0, "done": 100.0})
    found = {name: piece.bars for name, piece in drawn(one).items()}
    assert found == {"client": (Bar(0, 2),), "no reply": (Bar(2, 98),)}


def test_requests_of_older_results_are_only_listed() -> None:
    one = target()
    older = replace(one, exemplars=tuple(replace(each, stamps={}) for each in one.exemplars))
    assert waterfalls(older) == []
    assert [each.label for each in waterfalls(one)] == ["p50", "p99", "slowest"]


# Differences.


def test_differences_share_a_scale_and_say_what_is_shown() -> None:
    told = {
        "network": {"p50_ms": Difference(1.0, 2.0, 1.0, (0.5, 2.0))},
        "end_to_end": {
            "p50_ms": Difference(10.0, 6.0, -4.0, (-4.7, 1.0)),
            "p95_ms": Difference(20.0, 18.0, -2.0, None, "no difference shown"),
        },
        "queue": {"p50_ms": Difference(0.0, 0.0, 0.0, None)},
        "tokenize": {"p50_ms": Difference(0.0, 1.0, 1.0, (-1.0, 3.0), "slower")},
    }
    found = difference_rows(told)
    assert [(row.component, row.is_first, row.word) for row in found] == [
        ("end_to_end", True, ""),
        ("end_to_end", False, ""),
        ("network", True, "slower"),
        ("tokenize", True, "slower"),
    ]
    assert [(row.low, row.point, row.high) for row in found] == [
        pytest.approx((3, 10, 60)),
        pytest.approx((30, 30, 30)),
        pytest.approx((55, 60, 70)),
        pytest.approx((40, 60, 80)),
    ]
    assert [row.percent for row in found] == [-40, -10, 100, None]


# The command that measures again.


def facts(*options: str) -> dict[str, Any]:
    with run.make_context("run", list(options)) as context:
        made: Plan = planned(context.params)
    told = plan_facts(made, {})
    return {name: told[name] for name in told if name not in ("sent", "payload")}


URL = ("--rest-url", "http://127.0.0.1:5000/predict")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--requests", "250", "--concurrency", "8", "--warmup", "auto", "--timeout", "2.5"),
        ("--duration", "30", "--rate", "10:200/60s,200", "--arrival", "poisson", "--seed", "3"),
        ("--until-stable", "p95 2%", "--grpc-server", "127.0.0.1:50051", "--insecure"),
        ("--map", "inference=forward *", "--map", "queue=wait", "--client", "httpx", "--floor"),
        ("--expect-json", "a[0].b=it's", "--expect-status", "2xx", "--order", "random"),
        ("--header", "Content-Type: application/x", "--method", "PUT", "--field", "file"),
        ("--target", "a=http://h:1/x", "--target", "b=grpc://h:2", "--sequential"),
        ("--target", "a=grpc+unix:/x", "--label", "it's", "--metrics-url", "http://h/m"),
        ("--slo", "ttft < 200ms", "--stream-timeout", "9", "--receive-otlp"),
        ("--bind", "127.0.0.2,127.0.0.3", "--trace-share", "1%", "--no-otlp-metrics"),
        ("--ramp-up", "5", "--hang-up-after", "20tokens:0.5"),
        ("--rate", "3", "--arrival", "gamma:0.5", "--hang-up-after", "2s"),
        ("--no-stream",),
    ],
)
def test_the_command_asks_for_the_same_again(options: tuple[str, ...]) -> None:
    asked = facts("--image", IMAGE, *URL, *options)
    payload = {"name": IMAGE, "form": "image", "count": 1}
    words = shlex.split(command({**asked, "payload": payload}))
    assert words[:2] == ["tracebench", "run"]
    assert facts(*words[2:]) == asked


def test_the_command_leaves_out_what_is_as_usual() -> None:
    asked = facts("--image", IMAGE, *URL)
    text = command({**asked, "payload": {"name": "a b.png", "form": "image", "count": 1}})
    assert text == (
        "tracebench run --image 'a b.png' --rest-url http://127.0.0.1:5000/predict --requests 100"
    )


def test_a_plan_of_a_later_version_is_no_obstacle() -> None:
    assert command({"of_the_future": {"x": 1}, "requests": 5}) == "tracebench run --requests 5"
    assert "--concurrency 4" in of_run(together(both())).again[0].command
