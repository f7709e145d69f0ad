"""The result file says what the contract promises, and can be read back, whatever was added."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.report.samples import ALL, OWN_MS, both, own_parts
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.model.errors import UsageError
from tracebench.model.results.result import Result
from tracebench.model.results.sweep import Sweep
from tracebench.report.files.result_file import dumps, loads, loads_any
from tracebench.report.tables import sweep_table

TARGET = {
    "requests",
    "errors",
    "duration_s",
    "throughput_rps",
    "decomposed",
    "server_timing_source",
    "stamps",
    "tcp",
    "latency",
    "components",
    "share",
    "exemplars",
    "verdict",
}
STATISTICS = (
    "count mean_ms std_ms min_ms p50_ms p90_ms p95_ms p99_ms p999_ms max_ms ci95 unsupported "
    "effective_count"
)


def test_the_contract_names_are_there() -> None:
    data = json.loads(dumps(both()))
    assert list(data)[:5] == ["schema", "tool", "environment", "plan", "started_at"]
    assert data["schema"] == "tracebench.result/1"
    for target in data["targets"].values():
        assert target.keys() >= TARGET
        assert set(target["components"]["inference"]) == set(STATISTICS.split())
        assert set(target["server_timing_source"]) == {"otlp", "mirror", "backend", "none"}
        assert set(target["stamps"]) == {"kernel", "user", "shared"}
        for finding in target["verdict"]["findings"]:
            assert set(finding) == {"code", "severity", "message", "hint", "brief", "fix"}
    difference = data["comparison"]["components"]["inference"]["p50_ms"]
    assert set(difference) == {"a", "b", "delta", "ci95", "verdict"}


def test_own_parts_stand_in_components_and_in_no_sum() -> None:
    data = json.loads(dumps(own_parts()))
    rest = data["targets"]["rest"]
    assert rest["parts_of"] == {"server_other": list(OWN_MS)}
    assert rest["components"]["tokenize"]["mean_ms"] == 3
    assert sum(rest["share"].values()) == pytest.approx(1)
    assert data["comparison"]["components"]["tokenize"]["mean_ms"]["delta"] == -1
    assert json.loads(dumps(both()))["targets"]["rest"]["parts_of"] == {}


@pytest.mark.parametrize("result", ALL.values(), ids=ALL)
def test_a_result_survives_the_file(result: Result) -> None:
    again = loads(dumps(result))
    assert dumps(again) == dumps(result)
    assert again.targets.keys() == result.targets.keys()
    for name, target in result.targets.items():
        assert again.targets[name] == target
    assert again.comparison == result.comparison


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)
def test_a_sweep_survives_the_file(sweep: Sweep) -> None:
    again = loads_any(dumps(sweep))
    assert isinstance(again, Sweep)
    assert dumps(again) == dumps(sweep)
    assert sweep_table.render(again) == sweep_table.render(sweep)
    with pytest.raises(UsageError, match="not read here"):
        loads(dumps(sweep))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "other/9"}', '{"schema": "tracebench.result/1"}']
)
def test_what_is_no_result_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        loads(text, "x.json")
    assert "x.json" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sample", [both(), next(iter(SWEEPS.values()))], ids=["result", "sweep"])
def test_names_that_a_later_version_adds_are_passed_over(sample: Result | Sweep) -> None:
    def add(value: Any) -> Any:
        if isinstance(value, list):
            return [add(one) for one in value]
        if not isinstance(value, dict):
            return value
        more = {"of_the_future": {"x": [1]}} if "schema" in value or "message" in value else {}
        return {name: add(one) for name, one in value.items()} | more

    later = add(json.loads(dumps(sample)))
    assert "of_the_future" in json.dumps(later)
    assert loads_any(json.dumps(later)) == loads_any(dumps(sample))


def changed(change: Callable[[Any], object]) -> str:
    data = json.loads(dumps(both()))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: target(data).update(address="\ud800"), r"address is not text: '\\ud800'"),
        (lambda data: data["targets"].update({"\ud800": target(data)}), "is not text"),
        (lambda data: target(data).update(duration_s="1"), "duration_s is '1', not a number"),
        (lambda data: target(data).update(duration_s=True), "duration_s is 'True'"),
        (lambda data: target(data).update(duration_s=10**400), "duration_s is '1000"),
        (lambda data: target(data).update(duration_s=float("nan")), "NaN is not a JSON number"),
        (lambda data: target(data).update(decomposed=1.5), "decomposed is '1.5', not a whole"),
        (lambda data: target(data).pop("verdict"), "rest has no verdict"),
        (lambda data: target(data)["components"].pop("end_to_end"), "has no end_to_end"),
        (lambda data: target(data).update(components=[]), "components is not an object"),
        (lambda data: target(data).update(errors={}), "errors is not a list"),
        (lambda data: target(data).update(errors=[1]), "errors is not an object"),
        (lambda data: target(data).update(clock_offset_ms=[1]), "has 1 values, not 2"),
        (lambda data: data.update(targets=None), "targets is not an object"),
        (lambda data: data.update(targets={}), "targets is empty"),
        (lambda data: data.update(resourceSpans=data.pop("schema")), "tracebench analyze"),
    ],
)
def test_nonsense_is_named(change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        loads(changed(change), "x.json")
    assert "\n" not in str(refused.value)


def target(data: Any) -> dict[str, Any]:
    one: dict[str, Any] = data["targets"]["rest"]
    return one


@pytest.mark.parametrize("text", ["[" * 200_000, '{"schema": ' * 99_999, "[" * 900 + "]" * 900])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a tracebench result"):
        loads(text)


@pytest.mark.parametrize("part", range(1, 20))
def test_a_file_that_was_cut_off_is_refused(part: int) -> None:
    text = dumps(both())
    with pytest.raises(UsageError, match="not a tracebench result"):
        loads(text[: len(text) * part // 20])


def test_a_number_without_end_is_refused_in_plain_words() -> None:
    with pytest.raises(UsageError, match=r"4300( digits)?\) for integer string") as refused:
        loads(changed(lambda data: data)[:-1] + ', "x": ' + "9" * 5_000 + "}")
    assert "sys." not in str(refused.value)


def test_a_result_of_an_older_version_may_hold_credentials() -> None:
    url = "http://user:hunter2@x/?api_key=hunter2"
    found = loads(changed(lambda data: target(data).update(address=url)))
    assert found.targets["rest"].address == "http://REDACTED:REDACTED@x/?api_key=REDACTED"


def test_a_terminal_is_given_no_orders() -> None:
    found = loads(changed(lambda data: target(data).update(address="http://x/\x1b[31m\x9b")))
    assert found.targets["rest"].address == "http://x/ [31m "


def test_the_file_needs_no_plotting() -> None:
    loaded = "{'matplotlib', 'rich'} & set(sys.modules)"
    code = f"import tracebench.report.files.result_file, sys; print({loaded})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "set()"
