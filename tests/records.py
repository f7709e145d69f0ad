"""Records of requests that a test made one by one, for what reads columns."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.closure.selection import Selection
from tracebench.analysis.difference.comparison import observer_effect
from tracebench.analysis.summary.failures import said
from tracebench.load.engine.engine import Window
from tracebench.load.recording.read_record import Read, ReadRecord, read_record
from tracebench.load.recording.replies import Replies
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.recording.spill import Spill
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Decomposition, Exchange, Reply, Timing, Undecomposed
from tracebench.model.record.requests import IdsAsText, Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.results.result import ObserverEffect

Timings = Sequence[Timing | Undecomposed]


def record(exchanges: Sequence[Exchange], timings: Timings = ()) -> tuple[Requests, ServerTimes]:
    """Requests, and what servers said of them; nothing where that is not given."""
    silent = [Undecomposed.NO_TIMING] * len(exchanges)
    examples = {one.reason: said(one.reply) for one in reversed(exchanges) if said(one.reply)}
    return replace(Requests.of(exchanges), examples=examples), ServerTimes.of(timings or silent)


def decomposed(exchanges: Sequence[Exchange], timings: Timings) -> Decomposition:
    return decompose(*record(exchanges, timings))


def measured(exchanges: Sequence[Exchange], **facts: Any) -> Measurement:
    """A load of these, whose replies said nothing."""
    return Measurement(*record(exchanges), **facts)


def exchanges_of(window: Window, read: Read) -> list[Exchange]:
    """What an engine's window recorded."""
    return _read(window.recorder, ReadRecord(read, window.ids))


def numbered() -> IdsAsText:
    """Ids that number the requests, where no wire tells them."""
    return IdsAsText(lambda draw: (f"{draw:032x}", ""))


class Recorded:
    """A window without an engine; its replies are successes, whatever is in them."""

    def __init__(self) -> None:
        self.recorder = RowRecorder(Replies(None, lambda _callback: None), Spill())

    def exchanges(self) -> list[Exchange]:
        """What was recorded; nothing is after this."""
        self.recorder.close()
        how = ReadRecord(lambda _raw: (Reply("200", {}, b""), ""), numbered())
        return _read(self.recorder, how)


def _read(recorder: RowRecorder, how: ReadRecord) -> list[Exchange]:
    return list(read_record(recorder, how).requests)


def chosen(exchanges: Sequence[Exchange], timings: Timings) -> Selection:
    """All of them."""
    return Selection(Requests.of(exchanges), lambda rows, _: rows.all, ServerTimes.of(timings))


def effect(traced: Sequence[Exchange], untraced: Sequence[Exchange]) -> ObserverEffect | None:
    """The observer effect between requests of one run."""
    marked = [*traced, *(one._replace(variant=1) for one in untraced)]
    return observer_effect(Requests.of(marked), untraced_from=1)
