"""The process that reads the gauges: once a second, until its connection to the engine ends."""

import signal
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from time import monotonic, monotonic_ns
from typing import Final

import requests

from tracebench.gauges.messages import Reading, Record, Setup
from tracebench.gauges.page import PageError, Sample, lines_of, samples, value_of

PERIOD_S: Final = 1.0
_PATIENCE_S: Final = 2.0
_LARGEST_BYTES: Final = 16 << 20
_MOST: Final = 100_000
"""Most readings, about a day's worth; later ones are omitted."""


class Source:
    """Reads the wanted gauges from a page."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy
        self._session.verify = setup.verify
        self._session.cert = setup.cert
        self._session.headers["Accept"] = "text/plain;version=0.0.4"
        self._wanted = (*setup.known, *setup.named)
        self._metrics: dict[str, str] = {}
        self._readings: list[Reading] = []
        self._tries_ns: list[int] = []
        self._failures: list[tuple[int, str]] = []
        self._on_page: tuple[str, ...] = ()

    def read(self) -> None:
        """Read the page once; failures are recorded, not raised."""
        if len(self._tries_ns) >= _MOST:
            return
        began_ns = monotonic_ns()
        self._tries_ns.append(began_ns)
        try:
            text = self._text()
            at_ns = (began_ns + monotonic_ns()) // 2
            page = self._page(text)
        except (PageError, requests.RequestException) as error:
            self._failures.append((began_ns, _reason(error)))
            return
        values: dict[str, float] = {}
        for one in self._wanted:
            if one.name not in values and (value := value_of(one, page)) is not None:
                values[one.name] = value
                self._metrics[one.name] = one.metric
        self._readings.append(Reading(at_ns, values))

    def record(self) -> Record:
        """All readings and failures so far."""
        tries_ns, failures = tuple(self._tries_ns), tuple(self._failures)
        return Record(tuple(self._readings), self._metrics, tries_ns, failures, self._on_page)

    def _text(self) -> str:
        with self._session.get(self._setup.url, timeout=_PATIENCE_S, stream=True) as reply:
            if reply.status_code != requests.codes.ok:
                raise PageError(f"status {reply.status_code}")
            content = bytearray()
            for chunk in reply.iter_content(1 << 16):
                content += chunk
                if len(content) > _LARGEST_BYTES:
                    raise PageError(f"it is larger than {_LARGEST_BYTES >> 20} MB")
        return content.decode("utf-8", "replace")

    def _page(self, text: str) -> list[Sample]:
        """Parse the page: all of it the first time, later only lines of wanted metrics."""
        lines = lines_of(text, {one.metric for one in self._wanted}) if self._on_page else ""
        if lines:
            return samples(lines)
        page = samples(text)
        self._on_page = tuple(dict.fromkeys(one.metric for one in page))
        return page


def main(descriptor: int) -> None:
    """Read until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine
    pipe = Pipe(descriptor)
    with suppress(EOFError, OSError):
        _serve(pipe, Source(pipe.recv()))


def _serve(pipe: Pipe, source: Source) -> None:
    source.read()  # start-up costs are paid before the load begins
    pipe.send(source.record())
    due_s = monotonic() + PERIOD_S
    while True:
        if pipe.poll(max(due_s - monotonic(), 0.0)):
            pipe.recv()
            pipe.send(source.record())
            continue
        source.read()
        due_s = max(due_s + PERIOD_S, monotonic())


def _reason(error: Exception) -> str:
    """A short reason; the messages of `requests` would repeat the URL."""
    match error:
        case PageError():
            return str(error)
        case requests.exceptions.SSLError():
            return "its certificate is not trusted"
        case requests.Timeout():
            return f"no answer within {_PATIENCE_S:.0f} s"
        case requests.ConnectionError():
            return "nobody answers there"
    return f"{type(error).__name__}"
