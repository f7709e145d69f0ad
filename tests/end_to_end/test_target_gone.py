"""A target that goes while another is measured: what was measured is kept, and the rest told."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.old_servers import old_grpc, old_rest
from tracebench.benchmark import run
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.report.answer import table
from tracebench.report.figures import result_figure

PAYLOAD = Payload(b"\x89PNG" * 200, "image/png", "x.png", "image")


class Stopping(Watcher):
    """Stops the gRPC server when another target begins, or itself."""

    def __init__(self, at: str) -> None:
        self.server, self._at = ExitStack(), at

    def begins(self, target: str, address: str, answer: str) -> None:
        if target == self._at:
            self.server.close()


@pytest.mark.parametrize("at", ["rest", "grpc"])
def test_by_turns_all_must_be_there_when_it_begins(at: str) -> None:
    stopping = Stopping(at)
    with old_rest() as url:
        address = stopping.server.enter_context(old_grpc())
        targets = Targets(rest_url=url, grpc_server=address)
        with pytest.raises(TargetError, match="0 of 1 connections were opened"):
            run(Plan(Payloads(PAYLOAD), targets, load=Workload(requests=20)), stopping)


@pytest.mark.parametrize("at", ["rest", "grpc"])
def test_what_was_measured_before_is_kept(at: str, tmp_path: Path) -> None:
    stopping = Stopping(at)
    with old_rest() as url:
        address = stopping.server.enter_context(old_grpc())
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url, grpc_server=address, sequential=True),
            load=Workload(requests=20),
        )
        found = run(plan, stopping)
    assert found.targets["rest"].requests.succeeded == 20
    gone = found.targets["grpc"]
    assert gone.requests.started == 0
    assert not gone.verdict.valid
    assert "0 of 1 connections were opened" in gone.verdict.findings[0].message
    assert found.comparison is None
    assert "✗ given up: 127.0.0.1" in table.render(found)
    result_figure.draw(found, str(tmp_path / "plot.png"))


def test_with_nothing_measured_it_is_an_error() -> None:
    stopping = Stopping("grpc")
    address = stopping.server.enter_context(old_grpc())
    with pytest.raises(TargetError, match="0 of 1 connections were opened"):
        run(
            Plan(Payloads(PAYLOAD), Targets(grpc_server=address), load=Workload(requests=20)),
            stopping,
        )
