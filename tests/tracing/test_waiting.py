"""What takes long says so, and nothing else does."""

from tests.tracing.samples import MIRROR, REST, RUN, SUCCESS, Collected
from tracebench.tracing.roots.export import export
from tracebench.tracing.slow_notice import once_long


def test_it_is_said_after_half_a_second() -> None:
    now_s, said = [100.0], list[str]()
    tell = once_long(said.append, lambda: now_s[0])
    tell("soon")
    now_s[0] += 0.4
    tell("soon")
    now_s[0] += 0.2
    tell("at last")
    assert said == ["at last"]


def test_exporting_tells_how_far_it_is() -> None:
    made: list[int] = []
    export([SUCCESS] * 2049, [MIRROR] * 2049, REST, RUN, [Collected()], on_spans=made.append)
    assert made == [0, 1024, 2048]
