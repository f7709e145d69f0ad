"""What is measured: streams of known times, and how far from them the stamps may be."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

Protocol = Literal["sse", "tls", "grpc"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What must hold, beside that nothing is lost, and that every interval has the truth in it."""

    p50_ms: float = 0.3
    """Of the errors of exact stamps."""
    p99_ms: float = 1.0
    cpu_us: float | None = None
    """Of CPU time a token."""
    shared: float | None = None
    """Share of the tokens whose stamps are intervals."""
    shared_beside: str = ""
    """At most 1 % more of the tokens have such stamps than in that cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Streams that are measured in one run."""

    name: str
    concurrency: int
    first_ms: float = 50
    gap_ms: float = 10
    tokens: int = 64
    protocol: Protocol = "sse"
    requests: int = 0
    """0: as many as are asked for on the command line."""
    stalls: bool = False
    """Every 200 ms the client does nothing for 20 ms."""
    long_tokens: int = 0
    """Every so often one stream has so many tokens, a ms apart, and is not counted."""
    bounds: Bounds = Bounds()

    def asked(self) -> dict[str, Any]:
        """What a request says."""
        return {
            "model": "exact",
            "messages": [{"role": "user", "content": "hello"}],
            "stream": True,
            "first_ms": self.first_ms,
            "gap_ms": self.gap_ms,
            "max_tokens": self.tokens,
        }

    def with_requests(self, requests: int) -> "Cell":
        """The cell with so many requests, unless it says how many itself."""
        return replace(self, requests=self.requests or max(requests, self.concurrency))

    def as_json(self) -> dict[str, Any]:
        """All but the bounds."""
        return {name: value for name, value in asdict(self).items() if name != "bounds"}


HALF: Final = Bounds(p50_ms=0.5)
CELLS: Final = (
    Cell("c = 1", 1, first_ms=10, gap_ms=2),
    Cell("c = 32", 32, bounds=Bounds(cpu_us=35)),
    Cell("c = 128", 128),
    Cell("c = 32, stalled 20 ms of 200", 32, stalls=True),
    Cell("c = 32, TLS", 32, protocol="tls", bounds=HALF),
    Cell("c = 32, gRPC", 32, protocol="grpc", bounds=HALF),
    Cell("1,000 streams", 1_000, 50, 50, 200, requests=1_000, bounds=Bounds(shared=0.05)),
    Cell("31 beside one of 4,096", 32, long_tokens=4_096, bounds=Bounds(shared_beside="c = 32")),
)
