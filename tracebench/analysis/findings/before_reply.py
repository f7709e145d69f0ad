"""What is to be said of the time before a reply, and behind its head."""

from typing import Final

import numpy as np

from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.components import BODY, END_TO_END, NETWORK
from tracebench.model.exchange import Nanoseconds
from tracebench.model.result import Finding

PATH_ROUND_TRIPS: Final = 10
"""What takes longer is not the path: a warm connection needs one, a cold one with a large body a
few. The least round trip counts: the smoothed one contains the server's time wherever its kernel
delays an acknowledgement until the reply."""
LIKE_THE_FLOOR: Final = 2.0
"""Times the network of a server that does nothing: that much may be the kernels and wake-ups."""
_LEAST_AFTER_MS: Final = 1.0


def _body(run: Evidence) -> Finding | None:
    if BODY not in run.components:
        return None
    streams = 2 * run.decomposition.streamed > run.decomposition.bodies
    code = "streamed_reply" if streams else "long_body"
    body_ms = run.components[BODY].mean_ms
    return weigh(code, part_of(body_ms, run.components[END_TO_END].mean_ms), body_ms=body_ms)


def _waiting_before_server_span(run: Evidence) -> Finding | None:
    if run.load.tcp is None or NETWORK not in run.components:
        return None
    before_ms = _median_ms(run.decomposition.before_reply())
    rtt_ms = run.load.tcp.min_rtt_ms
    usual_ms = LIKE_THE_FLOOR * run.floor.network.p50_ms if run.floor is not None else 0.0
    if before_ms <= max(PATH_ROUND_TRIPS * rtt_ms, usual_ms):
        return None
    waiting_ms = before_ms - rtt_ms
    return weigh(
        "waiting_before_server_span",
        part_of(waiting_ms, run.components[END_TO_END].p50_ms),
        waiting_ms=waiting_ms,
        network_ms=run.components[NETWORK].p50_ms,
        rtt_ms=rtt_ms,
    )


def _network_after_reply_began(run: Evidence) -> Finding | None:
    if NETWORK not in run.components:
        return None
    network_ms = run.components[NETWORK].p50_ms
    if network_ms <= _LEAST_AFTER_MS:  # what passed after the reply began is a part of it
        return None
    after_ns = run.decomposition.columns[NETWORK] - run.decomposition.before_reply()
    after_ms = min(_median_ms(after_ns), network_ms)  # two estimates of a median may cross
    if after_ms <= _LEAST_AFTER_MS:
        return None
    return weigh(
        "network_after_reply_began",
        part_of(after_ms, run.components[END_TO_END].p50_ms),
        after_ms=after_ms,
        network_ms=network_ms,
    )


def _median_ms(values_ns: Nanoseconds) -> float:
    return float(np.median(values_ns)) / NS_PER_MS


REPLY_JUDGES: Final = (_body, _waiting_before_server_span, _network_after_reply_began)
