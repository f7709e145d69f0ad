"""The result file says what the contract promises, and can be read back."""

import json
import subprocess
import sys

import pytest

from tests.report.samples import ALL, OWN_MS, both, own_parts
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.errors import UsageError
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.report import sweep_table
from tracebench.report.to_json import dumps, loads, loads_any

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
            assert set(finding) == {"code", "severity", "message", "hint"}
    difference = data["comparison"]["components"]["inference"]["p50_ms"]
    assert set(difference) == {"a", "b", "delta", "ci95"}


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


def test_the_file_needs_no_plotting() -> None:
    code = "import tracebench.report.to_json, sys; print({'matplotlib', 'rich'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "set()"
