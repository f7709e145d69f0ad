"""Parts by names of the author's own: which are shown, what they are called, what is said."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_middleware.vocabulary import SERVER_PARTS
from tests.analysis.samples import MS, SUCCESS, found, load, read, target
from tests.records import chosen, decomposed
from tracebench.analysis.closure.own_components import own_components, share_of, shown_as
from tracebench.analysis.summary.summary import summarise
from tracebench.model.components import COMPONENTS, LEAVES
from tracebench.model.record.exchange import Timing
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.results.result import TargetResult


def timing(own_ms: Mapping[str, float], left_out: tuple[str, ...] = ()) -> Timing:
    """9 ms of the server, 2 of them of inference."""
    parts_ns = {"inference": 2 * MS, **{name: round(ms * MS) for name, ms in own_ms.items()}}
    return Timing(9 * MS, parts_ns, "mirror", left_out=left_out)


def measured(timings: Sequence[Timing]) -> TargetResult:
    run = load([SUCCESS] * len(timings))
    return summarise("x", run, decomposed(list(run.requests), timings))


def test_they_are_parts_of_the_rest_and_of_no_sum() -> None:
    found = measured([timing({"tokenize": 4, "render": 1}), timing({"tokenize": 3})])
    assert found.parts_of == {"server_other": ("tokenize", "render")}
    assert found.components["server_other"].mean_ms == 7
    assert found.components["tokenize"].mean_ms == 3.5
    assert (found.components["render"].count, found.components["render"].mean_ms) == (1, 1)
    assert set(found.share) <= set(LEAVES)
    assert sum(found.share.values()) == pytest.approx(1)
    assert share_of(found.components, "render", "server_other") == pytest.approx(0.5 / 7)


def test_who_names_what_the_server_does_is_not_told_to() -> None:
    named = measured([timing({"tokenize": 5.5, "render": 1})])
    assert found(named, "unexplained_share") is None
    assert "tokenize" in read(named)
    assert "79 % of that is tokenize" in read(named)
    assert "component()" not in read(named)
    alone = target([SUCCESS], Timing(9 * MS, {"tokenize": 8 * MS}, "mirror"))
    assert "89 % of that is tokenize" in read(alone)
    assert found(alone, "unexplained_share") is None


def test_what_own_names_leave_open_is_still_unexplained() -> None:
    finding = found(
        target([SUCCESS], Timing(9 * MS, {"tokenize": MS}, "mirror")), "unexplained_share"
    )
    assert finding is not None
    assert finding.message.startswith("89 %")
    assert "framework" in read(measured([timing({"tokenize": 1})]))


@pytest.mark.parametrize("name", sorted(COMPONENTS - set(SERVER_PARTS)))
def test_a_name_of_tracebench_s_is_told_apart(name: str) -> None:
    plain, own = measured([timing({})]), measured([timing({name: 4})])
    assert own.parts_of == {"server_other": (f"server.{name}",)}
    assert own.components[f"server.{name}"].mean_ms == 4
    assert {n: own.components[n] for n in plain.components} == plain.components


def test_spellings_that_look_alike_are_one_part() -> None:
    found = measured([timing({"a b": 1, "a_b": 2}), timing({"a/b": 3})])
    assert found.parts_of == {"server_other": ("a_b",)}
    assert found.components["a_b"].mean_ms == 3


def test_at_most_32_names_are_shown_the_largest() -> None:
    own_ms = {f"step{number}": 0.001 * number for number in range(1, 41)}
    result = measured([timing(own_ms)])
    names = tuple(f"step{number}" for number in range(40, 8, -1))
    assert result.parts_of == {"server_other": names}
    assert set(result.components) & set(own_ms) == set(names)
    said = found(result, "too_many_names")
    assert said is not None
    assert said.message.startswith("8 more custom-named components")
    told = found(measured([timing({"tokenize": 1})._replace(unlisted=3)]), "too_many_names")
    assert told is not None
    assert told.message.startswith("3 more custom-named components")


def test_names_that_differ_from_request_to_request_stay_cheap() -> None:
    timings = [timing({f"user{number}": 1}) for number in range(5_000)]
    times = ServerTimes.of(timings)
    assert len(times.columns.names) < 200
    found = own_components(chosen([SUCCESS] * 5_000, timings), times, -1)
    assert len(found.formulas) == 32
    assert found.unlisted == 5_000 - 32


def test_a_name_that_does_not_fit_is_said() -> None:
    said = found(measured([timing({}, ("origin",))]), "names_left_out")
    assert said is not None
    assert "origin (1)" in said.message
    assert said.severity == "info"
    many = tuple(f"n{number}" for number in range(9))
    assert "and 4 more" in str(found(measured([timing({}, many)]), "names_left_out"))


@pytest.mark.parametrize(("misfits", "is_shown"), [(1, True), (2, False)])
def test_a_name_that_fits_only_now_and_then_has_no_mean(misfits: int, is_shown: bool) -> None:
    timings = [timing({"origin": 1})] * (100 - misfits) + [timing({}, ("origin",))] * misfits
    result = measured(timings)
    assert ("origin" in result.components) is is_shown
    said = found(result, "names_left_out")
    assert said is not None
    assert f"origin ({misfits})" in said.message


@given(st.text(max_size=200))
def test_whatever_a_name_is_it_can_be_shown(name: str) -> None:
    shown = shown_as(name)
    assert shown.isascii()
    assert shown not in COMPONENTS
    assert not set(shown) & set(' %{}[]"\\\n/$;,=')
    assert len(shown) <= 64 + len("server.")
    assert shown_as(shown) == shown
