"""How results show themselves: as a line, as text, as HTML and as a picture."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tracebench
from tests.report.samples import both, result, target
from tests.report.search_samples import ALL as SEARCHES
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.api.results import result_of
from tracebench.model.results.result import Result
from tracebench.studies.compare import compare_results

EVIL = "<script>alert(1)</script>"
TAGS = "div p b span br table thead tbody tr th td pre ul li"


class Seen(HTMLParser):
    """The tags of a text, each closed; and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.words, self._open = set[str](), "", list[str]()
        self.feed(str(text))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in ("br",):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_line() -> None:
    one = tracebench.RunResult(result(rest=target()))
    assert repr(one) == ("<RunResult: rest 200 ok, p50 20 ms, usable for mean, p50, p95>")
    two = tracebench.RunResult(replace(both(), label="night"))
    assert repr(two).startswith("<RunResult night: rest ")
    assert "; grpc " in repr(two)


def test_rich_writes_text_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of itself it would display each part, and the text would be empty."""
    usual = str(tracebench.RunResult(both()))
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert str(tracebench.RunResult(both())) == usual
    assert "inference" in usual


def test_the_verdict_of_all_targets_together() -> None:
    good = result(rest=target())
    assert tracebench.RunResult(good).verdict.usable_for == good.targets["rest"].verdict.usable_for
    bad = target(200, failed=100, reason="HTTP 503")
    found = tracebench.RunResult(result(rest=target(), grpc=bad)).verdict
    assert not found.valid
    assert found.usable_for == ()


@pytest.mark.parametrize("of", [result(rest=target()), both()])
def test_html_for_a_notebook(of: Result) -> None:
    text = tracebench.RunResult(of)._repr_html_()
    seen = Seen(text)
    assert seen.tags <= {*TAGS.split()}
    assert len(text) < 20_000
    for name, one in of.targets.items():
        assert name in seen.words
        assert one.address in seen.words
    assert "USABLE FOR" in seen.words
    assert "inference" in seen.words


def test_html_shows_markup_as_text() -> None:
    bad = target(200, failed=100, reason=f"HTTP 503: {EVIL}")
    evil = replace(result(**{"rest": replace(bad, address=f"http://a/{EVIL}")}), label=EVIL)
    text = tracebench.RunResult(evil)._repr_html_()
    assert "<script" not in text
    assert Seen(text).words.count(EVIL) >= 3
    assert "NOT VALID" in text


def test_a_result_without_a_success_shows_itself() -> None:
    nothing = result(rest=target(5, failed=5, reason="HTTP 500"))
    one = tracebench.RunResult(nothing)
    assert "NOT VALID" in Seen(one._repr_html_()).words
    assert "not valid" in repr(one)


@pytest.mark.parametrize("data", [*SWEEPS.values(), *SEARCHES.values()])
def test_sweeps_and_searches(data: object) -> None:
    found = result_of(data)  # type: ignore[arg-type]
    assert found.data is data
    assert str(found).splitlines()[0] in Seen(found._repr_html_()).words
    assert "\n" not in repr(found)
    assert len(found.runs) == len(found.data.steps)  # type: ignore[union-attr]
    assert found.to_markdown()


def test_a_comparison() -> None:
    a, b = result(rest=target()), result(rest=target(300))
    found = tracebench.ComparisonResult(compare_results([a], [b]))
    assert repr(found) == f"<ComparisonResult: rest: {found.sentences['rest']}>"
    assert found.sentences["rest"].rstrip(".") in " ".join(str(found).split())
    assert "<pre" in found._repr_html_()
    assert found.to_json().startswith('{\n  "schema": "tracebench.compare/1"')


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    figure = tracebench.RunResult(both()).plot(path)
    assert path.read_text().startswith("<?xml")
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_texts_are_written_where_asked(tmp_path: Path) -> None:
    one = tracebench.RunResult(result(rest=target()))
    methods = {"p.html": one.to_html, "a.md": one.to_markdown, "r.json": one.to_json}
    for name, method in methods.items():
        path = tmp_path / name
        assert method(path) == path.read_text()
        with pytest.raises(tracebench.UsageError, match="cannot write '/no/such/x'"):
            method("/no/such/x")
    with pytest.raises(tracebench.UsageError, match="no known format"):
        one.to_samples("x.txt")
    assert one.table("all") != one.table() != one.table("table")


def test_a_run_s_plot_has_two_styles(tmp_path: Path) -> None:
    run = tracebench.RunResult(result(rest=target()))
    usual, classic = run.plot(), run.plot(tmp_path / "classic.png", style="classic")
    assert (tmp_path / "classic.png").read_bytes().startswith(b"\x89PNG")
    assert {axes.get_title() for axes in usual.axes} != {axes.get_title() for axes in classic.axes}
