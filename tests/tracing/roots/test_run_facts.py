"""What a run knew goes into an archive, and comes back as it was."""

from dataclasses import replace

import pytest

from tests.analysis.samples import load
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Stability
from tracebench.model.results.result import Warmup
from tracebench.tracing.roots import run_facts

BARE = load([])
FULL = replace(
    BARE,
    asked_rps=100.0,
    stalled_s=0.1,
    idle_share=0.25,
    same_host=True,
    until_stable=Stability("p95_ms", 0.02),
    warmup=Warmup("MSER-5", 15, 1.4, 336.0, 10.0),
    block_ends=(5, 9),
    blocks_s=(0.5, 0.6),
    gave_up="no reply came for 5 s",
)


@pytest.mark.parametrize("run", [BARE, replace(BARE, tcp=None), FULL])
def test_a_load_comes_back(run: Measurement) -> None:
    facts = run_facts.read(run_facts.written("http://model:5000", run, {"plan": {"seed": 1}}))
    assert facts is not None
    found = facts.load_of(run.requests, run.times)
    assert found == run
    assert (facts.address, facts.session) == ("http://model:5000", {"plan": {"seed": 1}})


def test_the_requests_of_a_warm_up_are_not_told() -> None:
    cut = replace(FULL, left_out=BARE.requests)
    facts = run_facts.read(run_facts.written("x", cut, {"plan": {}}))
    assert facts is not None
    assert facts.load_of(cut.requests, cut.times) == FULL


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"load": 1}', None])
def test_anything_else_is_nothing(text: object) -> None:
    assert run_facts.read(text) is None
