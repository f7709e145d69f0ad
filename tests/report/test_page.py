"""The page: whole, self-contained, safe, and as large as it may be; numbers where they belong."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import EVIL, Page, hostile
from tests.report.samples import ALL, both, result, streamed, target
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Result
from tracebench.model.results.sweep import Step, Sweep
from tracebench.report.files.result_file import dumps, loads_any
from tracebench.report.page.page import MOST_BYTES, render, write
from tracebench.report.several import Several
from tracebench.report.units import Unit
from tracebench.studies.compare import compare_results

Found = Result | Sweep | RunComparison | Several[Any]


def several() -> Several[Result]:
    label = "</script><b>before $1$"
    return Several({label: result(rest=target()), "1": both(), "0": streamed()})


def compared() -> RunComparison:
    runs = [
        replace(both(), tool={"run_id": str(number)}, targets={"rest": target(scale=scale)})
        for number, scale in enumerate((lambda n: 17.0 + n % 7, lambda n: 22.0 + n % 7))
    ]
    return compare_results(runs[:1], runs[1:], a_names=["a.json"], b_names=["b <&>.json"])


PAGES: dict[str, Found] = {
    **ALL,
    **{f"sweep: {name}": one for name, one in SWEEPS.items()},
    "comparison": compared(),
    "hostile": hostile(),
    "several runs": several(),
    "several sweeps": Several({"old": SWEEPS["both"], "new": SWEEPS["grpc broke off"]}),
    "several comparisons": Several({"x": compared(), "y": compared()}),
}


@pytest.mark.parametrize("found", PAGES.values(), ids=PAGES)
def test_every_page_is_whole(found: Found) -> None:
    text = render(found)
    page = Page.of(text)
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    assert {one[1:] for one in page.attribute("href") if one.startswith("#")} <= set(ids)
    assert set(page.attribute("aria-labelledby")) <= set(ids)
    assert len(text.encode(errors="backslashreplace")) <= MOST_BYTES
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", page.text)
    assert [one["lang"] for one in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1


@pytest.mark.parametrize("found", PAGES.values(), ids=PAGES)
def test_nothing_comes_from_elsewhere_and_only_its_own_script_may_run(found: Found) -> None:
    page = Page.of(render(found))
    policy = next(one["content"] for one in page.all("meta") if "http-equiv" in one)
    hashes = [
        f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
        for text in (page.raw["script"][1], page.raw["style"][0])
    ]
    assert policy == (
        f"default-src 'none'; script-src {hashes[0]}; style-src {hashes[1]}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not page.attribute("src")
    assert not page.attribute("style")
    assert {one["href"] for one in page.all("link")} == {"data:,"}
    assert not [name for _, those in page.elements for name in those if name.startswith("on")]
    assert "@import" not in page.raw["style"][0]
    assert set(re.findall(r"url\((.)", page.raw["style"][0])) == {"#"}
    assert len(page.raw["script"]) == 2


@pytest.mark.parametrize("found", [*ALL.values(), *SWEEPS.values()], ids=[*ALL, *SWEEPS])
def test_the_page_holds_its_result(found: Result | Sweep) -> None:
    page = Page.of(render(found))
    assert loads_any(page.raw["script"][0]) == loads_any(dumps(found))
    assert "it lacks" not in page.text


def test_a_comparison_is_held_too() -> None:
    found = compared()
    assert Page.of(render(found)).data == json.loads(dumps(found))


def test_several_results_are_held_and_shown_by_their_names() -> None:
    found = several()
    page = Page.of(render(found))
    held = {one["name"]: one["result"] for one in page.data["several"]}
    assert held == {name: json.loads(dumps(one)) for name, one in found.results.items()}
    names = [*found.results]
    titles = [names[0], "1: rest", "1: grpc", "0: rest", "0: grpc"]
    charts = [one["data-target"] for one in page.all("figure") if one["data-kind"] == "timeline"]
    assert charts == titles
    assert "1: grpc against rest" in page.text
    downloads = [one for one in page.all("button") if one.get("data-download") == "json"]
    assert [one["data-result"] for one in downloads] == ["0", "1", "2"]
    assert len([one for one in page.all("button") if "data-copy" in one]) == 3
    assert "3 runs, the first of 2026-11-22 12:00:00" in page.text
    captions = page.text.count("Latency side by side, in ms")
    assert (captions, "side by side" in Page.of(render(both())).text) == (1, False)


def test_several_sweeps_share_their_curves() -> None:
    page = Page.of(render(PAGES["several sweeps"]))
    assert [one["data-kind"] for one in page.all("figure")] == ["sweep-throughput", "sweep-latency"]
    assert "old: Valid; it ended because throughput stopped growing." in page.text
    assert "new: grpc" in page.text
    charts = Page.of(render(PAGES["several comparisons"])).all("figure")
    assert [one["data-target"] for one in charts] == ["x", "y"]


def test_markup_in_a_result_is_text() -> None:
    page = Page.of(render(hostile()))
    assert page.text.count(EVIL) > 20
    assert [one for one, _ in page.elements].count("script") == 2
    assert not page.all("img")
    assert not [one for one in page.attribute("href") if "javascript" in one]
    assert page.data["targets"][EVIL]["address"] == EVIL


def test_only_links_of_the_web_are_links() -> None:
    url = "https://jaeger.example/trace/1?uiFind=2&x=<"
    one = target()
    exemplars = [replace(each, url=url) for each in one.exemplars]
    exemplars[-1] = replace(exemplars[-1], url="file:///etc/passwd")
    page = Page.of(render(result(rest=replace(one, exemplars=tuple(exemplars), search_url=url))))
    links = [each for each in page.all("a") if not str(each["href"]).startswith("#")]
    assert {each["href"] for each in links} == {url}
    assert {each["rel"] for each in links} == {"noreferrer noopener"}


def test_a_page_that_would_be_too_large_says_what_it_lacks() -> None:
    one = SWEEPS["many steps"]
    heavy = target(3_000)
    assert heavy.timeline is not None
    steps = [
        Step(load, replace(one.steps[0].result, targets={"rest": heavy})) for load in range(1, 60)
    ]
    text = render(replace(one, steps=tuple(steps)))
    page = Page.of(text)
    assert 0.5 * MOST_BYTES < len(text.encode()) <= MOST_BYTES
    assert "it lacks histograms, blocks" in page.text
    again = loads_any(page.raw["script"][0])
    assert isinstance(again, Sweep)
    assert len(again.steps) == 59
    assert again.steps[0].result.targets["rest"].components == heavy.components


def test_a_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "x.html"
    write(result(rest=replace(target(), address="http://x/\udc80")), str(file))
    page = Page.of(file.read_text())
    assert page.data["targets"]["rest"]["address"] == "http://x/\udc80"


def test_what_a_run_says_first() -> None:
    page = Page.of(render(both()))
    assert [one["id"] for one in page.all("section")] == [
        "verdict",
        "components",
        "distribution",
        "over-time",
        "tail",
        "differences",
        "requests",
        "again",
        "data-section",
    ]
    places = [page.text.index(one) for one in ("USABLE FOR", "Inference is", "throughput")]
    assert places == sorted(places)
    assert "grpc against rest" in page.text
    kinds = [one["data-kind"] for one in page.all("figure")]
    assert kinds == ["percentiles", "cdf", *["timeline", "load"] * 2]


def test_numbers_that_are_not_valid_are_said_not_to_be() -> None:
    page = Page.of(render(ALL["all failed"]))
    assert "NOT VALID: do not trust these numbers" in page.text
    assert "No request succeeded: there is nothing to divide." in page.text
    assert "HTTP 503" in page.text


def test_streams_have_their_own_section() -> None:
    page = Page.of(render(streamed()))
    assert "gaps" in [one["data-kind"] for one in page.all("figure")]
    assert "40 streams, 2,560 tokens (counted by usage)" in page.text
    assert "Streams" not in Page.of(render(both())).text


def test_a_sweep_shows_how_it_scales() -> None:
    page = Page.of(render(SWEEPS["both"]))
    kinds = [one["data-kind"] for one in page.all("figure")]
    assert kinds == ["sweep-throughput", "sweep-latency"]
    assert "saturates first" in page.text
    assert "it ended because throughput stopped growing." in page.text


def test_a_comparison_shows_its_answer_first() -> None:
    page = Page.of(render(compared()))
    assert page.text.index("slower at the median") < page.text.index("network")
    assert [one["data-kind"] for one in page.all("figure")] == ["shift"]


@pytest.mark.parametrize(
    ("typical_ms", "shown_ms", "text"),
    [
        (0.005, 0.005, "5.00 µs"),
        (0.0999, 0.1234, "123.4 µs"),
        (0.1, 0.1234, "0.12 ms"),
        (9_999, 1_234.5, "1,234 ms"),
        (50_000, 51_234.5, "51.23 s"),
        (0.0, 0.0, "0 ms"),
    ],
)
def test_a_page_has_one_unit_that_fits(typical_ms: float, shown_ms: float, text: str) -> None:
    unit = Unit.fit_for(typical_ms)
    assert f"{unit.text(shown_ms)} {unit.name}" == text


def test_times_of_a_slow_server_are_in_seconds() -> None:
    page = Page.of(render(result(rest=target(scale=lambda _number: 50_000.0))))
    assert "50.00 s" in page.text
    assert page.all("body") == [{"data-unit": "s", "data-per-ms": "0.001"}]
