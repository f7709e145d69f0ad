"""What a result keeps for later comparisons: blocks and histograms of every component."""

from collections.abc import Collection, Iterator
from typing import Final

import numpy as np

from tracebench.analysis.statistics.blocks import among, block_starts, bounds_of, series
from tracebench.analysis.statistics.distribution import Ordered, in_order
from tracebench.analysis.statistics.histogram import Histogram, histogram_of, within
from tracebench.analysis.streams.streams import (
    MOSTLY,
    Answered,
    answered,
    buffered_share,
    by_request,
    gaps,
)
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import SCHEDULED, Requests
from tracebench.model.results.blocks import Blocks, BlockSeries

STREAM: Final = "stream."
"""Prefix of stream metrics: a server author's own components may have the same names."""
_OF_STREAMS: Final = ("ttft", "ttft_service", "first_text", "tpot", "generation", "ending")
_NS_PER_S: Final = 1e9
_MOST_BYTES: Final = 195_000
"""Upper bound for the blocks and histograms of a target, as text."""
_NUMBER_BYTES: Final = 12


class Comparable:
    """Collects blocks and histograms from the columns of a run, one column at a time.

    Args:
        load: the measurement.
        due_ns: when each success and each time-out was scheduled, ascending; not empty.
    """

    def __init__(self, load: Measurement, due_ns: Int64) -> None:
        self._starts_ns = block_starts(due_ns, [*_rounds(load.requests, load.block_ends)])
        self._counts = np.diff(bounds_of(due_ns, self._starts_ns))
        self._began_ns = load.requests.due_ns[0]
        self._series: dict[str, BlockSeries] = {}
        self._histograms: dict[str, Histogram] = {}

    def bounds(self, due_ns: Int64) -> Int64:
        """Where the blocks begin and end among requests scheduled at these times."""
        return bounds_of(due_ns, self._starts_ns)

    def add(self, name: str, values_ns: Nanoseconds, ordered_ns: Ordered, bounds: Int64) -> None:
        """Add a column.

        Args:
            name: the component.
            values_ns: its values in the order of scheduling; not empty.
            ordered_ns: the same values, sorted.
            bounds: where the blocks begin and end among the values.
        """
        self._series[name] = series(values_ns, bounds)
        self._histograms[name] = histogram_of(ordered_ns)

    def add_streams(self, load: Measurement) -> None:
        """Add the stream metrics, if any replies streamed."""
        if load.streams is None or not len(load.streams):
            return
        them = answered(load.requests, load.streams)
        columns, bounds = by_request(them), self.bounds(them.scheduled)
        for name in _OF_STREAMS:
            known = np.flatnonzero(columns[name] != ABSENT)
            self._add_sorted(name, columns[name][known], among(known, bounds))
        if buffered_share(load.streams) <= MOSTLY:
            self._add_gaps(them, bounds)

    def _add_gaps(self, them: Answered, bounds: Int64) -> None:
        """Add the gaps between tokens, one for each token that follows a gap."""
        between = gaps(them)
        if between is not None:
            reads = np.searchsorted(between.cluster, bounds)
            tokens = np.concatenate(([0], np.cumsum(between.times)))
            values_ns = np.repeat(between.ns.round().astype(np.int64), between.times)
            self._add_sorted("itl", values_ns, tokens[reads])

    def _add_sorted(self, name: str, values_ns: Nanoseconds, bounds: Int64) -> None:
        if len(values_ns):
            self.add(STREAM + name, values_ns, in_order(values_ns), bounds)

    @property
    def blocks(self) -> Blocks:
        """The blocks of all columns added so far."""
        starts_s = (self._starts_ns - self._began_ns) / _NS_PER_S
        return Blocks(
            start_s=tuple(starts_s.round(6).tolist()),
            count=tuple(self._counts.tolist()),
            components=self._series,
        )

    def histograms(self, custom: Collection[str]) -> dict[str, str]:
        """The encoded histograms of all columns added so far, by name.

        Args:
            custom: the author's own components, which lose precision first if space runs short.
        """
        numbers = sum(3 * len(self._counts) + 8 for _ in self._series)
        return within(_MOST_BYTES - numbers * _NUMBER_BYTES, self._histograms, [*custom])


def _rounds(requests: Requests, ends: Collection[int]) -> Iterator[int]:
    """When the first request of each non-empty round was due, in ns."""
    due_ns = requests.columns.whole(SCHEDULED) if ends else np.zeros(0, np.int64)
    begin = 0
    for end in ends:
        if end > begin:
            yield int(due_ns[begin:end].min())
        begin = end
