"""Where both protocols lead to: a request is checked, kept, forwarded, and answered."""

from collections.abc import Callable
from time import monotonic_ns
from typing import Final, NamedTuple

from tracebench.tracing.otlp import read_protobuf
from tracebench.tracing.otlp.checks import OtlpError
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.receiver.store import RECEIVED, REJECTED, Batch, Encoding, Store

# Codes of google.rpc.Code, which are gRPC's.
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 0, 3, 8
RETRY_AFTER_S: Final = 2


class Answer(NamedTuple):
    """What to tell the exporter, in whichever protocol it speaks."""

    code: int
    message: str = ""
    rejected: int = 0
    """Spans that cannot be used: a partial success."""


class Intake:
    """Takes export requests.

    Args:
        store: keeps what is accepted.
        forward: is given every batch that was accepted.
    """

    def __init__(self, store: Store, forward: Callable[[Batch], object]) -> None:
        self.store = store
        self._forward = forward

    def refuse(self, reason: str) -> None:
        """Count what is refused before it comes here."""
        self.store.counts[reason] += 1

    def traces(self, encoding: Encoding, body: bytes) -> Answer:
        """Take an ExportTraceServiceRequest."""
        try:
            spans, bad, why = _count(encoding, body)
        except OtlpError as error:
            self.refuse("malformed")
            return Answer(INVALID_ARGUMENT, str(error))
        batch = Batch(encoding, monotonic_ns(), spans - bad, body)
        if batch.spans and not self.store.add(batch):
            self.refuse("no room")
            return Answer(RESOURCE_EXHAUSTED, "as many spans are kept as may be: try again later")
        self.store.counts[RECEIVED] += batch.spans
        self.store.counts[REJECTED] += bad
        self.store.problem = self.store.problem or why
        if batch.spans:
            self._forward(batch)
        return Answer(OK, f"{bad} of {spans} spans left out: {why}" if bad else "", bad)


def _count(encoding: Encoding, body: bytes) -> tuple[int, int, str]:
    """All spans, the bad ones, and what is wrong with the first of them."""
    if encoding == "protobuf":
        return read_protobuf.count(read_protobuf.parse(body))
    reasons: list[str] = []
    good = len(read_json(body, reasons.append))
    return good + len(reasons), len(reasons), reasons[0] if reasons else ""
