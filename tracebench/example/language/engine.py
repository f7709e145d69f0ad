"""The scheduler: requests wait for a place in the cache, and all admitted ones advance together.

One thread runs the network. Between two steps it reads at most one prompt, during which all other
streams wait: that is the cost of long prompts. A step serves all running streams at once and takes
little longer than for a single one: that is why throughput grows with the load.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Thread
from types import TracebackType
from typing import Final, NamedTuple

import numpy as np

from tracebench.example.language.decoder import CONTEXT, Decoder, Logits
from tracebench.example.language.tokenizer import END, FIRST_SYLLABLE, SIZE

_USUAL_LENGTH: Final = 100
"""Typical number of tokens after which a text ends by itself."""
_END_BONUS: Final = float(np.log(SIZE / _USUAL_LENGTH))
_STEADY: Final = 1e-3
"""Below this temperature, the most probable token is chosen."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The checked parameters of a request."""

    prompt: tuple[int, ...]
    most: int
    """Most tokens to generate; together with the prompt, at most `CONTEXT`."""
    ignores_end: bool = False
    temperature: float = 1.0
    seed: int = 0


class Piece(NamedTuple):
    """The output of one step for one stream."""

    token: int
    """`END` if the text ends without a further token."""
    finish: str
    """Why the text ends: `stop` or `length`; empty if it continues."""


_ADMITTED: Final = Piece(END, "")
_STOPPED: Final = Piece(END, "stopped")


class Stopped(Exception):  # noqa: N818 - an ending, not a mistake
    """The engine ended before the text did."""


class Generation:
    """One request in the engine; call `admitted` before `pieces`."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.cached = 0
        """Number of prompt tokens found in the cache; known once admitted."""
        self.cancelled = False
        self.told: SimpleQueue[Piece] = SimpleQueue()
        """Messages from the engine: admission, then pieces; or that it stopped."""

    def admitted(self) -> None:
        """Wait until the engine admits the request.

        Raises:
            Stopped: the engine ended first.
        """
        if self.told.get() is _STOPPED:
            raise Stopped

    def pieces(self) -> Iterator[Piece]:
        """Yield the text piece by piece as it is generated.

        Raises:
            Stopped: the engine ended before the text did.
        """
        finish = ""
        while not finish:
            piece = self.told.get()
            if piece is _STOPPED:
                raise Stopped
            finish = piece.finish
            yield piece

    def cancel(self) -> None:
        """Tell the engine to stop generating for this request."""
        self.cancelled = True


class Load(NamedTuple):
    """The current load of the engine."""

    running: int
    waiting: int
    cache_usage: float
    """Fraction of the cache filled by running streams."""
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    """The last three are totals since the engine started."""


class _Place:
    """A part of the cache, and the stream that occupies it."""

    def __init__(self) -> None:
        self.held: list[int] = []
        """The tokens in the cache."""
        self.next = 0
        """The stream's last token, which is not in the cache yet."""
        self.left = 0
        self.stream: Generation | None = None
        self.draw = np.random.default_rng(0)


class Engine:
    """Runs the network for any number of threads; a context manager that ends it on exit.

    Args:
        places: how many streams run at once; others wait.
        keeps_prefixes: whether prompts reuse the cached prefix of an earlier prompt.
    """

    def __init__(self, places: int, *, keeps_prefixes: bool = False) -> None:
        self._decoder = Decoder(places)
        self._places = [_Place() for _ in range(places)]
        self._keeps_prefixes = keeps_prefixes
        self._waiting: deque[Generation] = deque()
        self._changed = Condition()
        self._ended = False
        self._prompt_tokens = self._cached_tokens = self._generated_tokens = 0
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def __enter__(self) -> "Engine":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def submit(self, asked: Asked) -> Generation:
        """Queue a request."""
        generation = Generation(asked)
        with self._changed:
            if self._ended:
                generation.told.put(_STOPPED)
            else:
                self._waiting.append(generation)
                self._changed.notify()
        return generation

    def load(self) -> Load:
        """The current load; may be called from any thread."""
        running = [place for place in self._places if place.stream is not None]
        filled = sum(len(place.held) for place in running)
        return Load(
            len(running),
            len(self._waiting),
            filled / (len(self._places) * CONTEXT),
            self._prompt_tokens,
            self._cached_tokens,
            self._generated_tokens,
        )

    def _run(self) -> None:
        try:
            while self._has_work():
                if (place := self._free_place()) is not None and (found := self._first()):
                    self._admit(found, place)
                self._step()
        finally:
            self._stop()

    def _has_work(self) -> bool:
        """Wait until there is work; False once the engine is asked to end."""
        with self._changed:
            while not (self._ended or self._waiting or any(one.stream for one in self._places)):
                self._changed.wait()
            return not self._ended

    def _stop(self) -> None:
        with self._changed:
            self._ended = True
            streams = [*self._waiting, *(one.stream for one in self._places if one.stream)]
        for stream in streams:
            stream.told.put(_STOPPED)

    def _first(self) -> Generation | None:
        """The request that has waited longest and is still wanted."""
        with self._changed:
            while self._waiting:
                if not (found := self._waiting.popleft()).cancelled:
                    return found
        return None

    def _free_place(self) -> int | None:
        """The free place that holds the longest prefix of the next prompt, or the first one."""
        free = [number for number, place in enumerate(self._places) if place.stream is None]
        if not self._keeps_prefixes or not self._waiting or not free:
            return free[0] if free else None
        prompt = self._waiting[0].asked.prompt
        return max(free, key=lambda number: _common(self._places[number].held, prompt))

    def _admit(self, stream: Generation, number: int) -> None:
        place, prompt = self._places[number], stream.asked.prompt
        known = min(_common(place.held, prompt), len(prompt) - 1)  # the last one gives the logits
        stream.cached = known
        stream.told.put(_ADMITTED)
        self._prompt_tokens += len(prompt)
        self._cached_tokens += known
        logits = self._decoder.read(number, list(prompt[known:]), known)
        place.held, place.left = list(prompt), stream.asked.most
        place.draw = np.random.default_rng(stream.asked.seed)
        place.stream = stream
        self._deliver(place, stream, logits)

    def _step(self) -> None:
        """Generate one token per stream; free places below a running one are computed too."""
        used = [number for number, place in enumerate(self._places) if place.stream is not None]
        if not used:
            return
        batch = self._places[: used[-1] + 1]
        logits = self._decoder.step([one.next for one in batch], [len(one.held) for one in batch])
        for place, row in zip(batch, logits, strict=True):
            if place.stream is not None:
                place.held.append(place.next)
                self._deliver(place, place.stream, row)

    def _deliver(self, place: _Place, stream: Generation, logits: Logits) -> None:
        token = _sampled(logits, stream.asked, place.draw)
        place.next, place.left = token, place.left - 1
        finish = "stop" if token == END else "" if place.left else "length"
        self._generated_tokens += token != END
        stream.told.put(Piece(token, finish))
        if finish or stream.cancelled:
            place.stream = None
            if not self._keeps_prefixes:
                place.held = []


def _sampled(logits: Logits, asked: Asked, draw: np.random.Generator) -> int:
    """Draw the next token: a syllable, or `END` if the text may end."""
    wanted = logits[END:].astype(np.float64)
    wanted[0] = -np.inf if asked.ignores_end else wanted[0] + _END_BONUS
    if asked.temperature >= _STEADY:
        wanted = wanted / asked.temperature + draw.gumbel(size=len(wanted))
    return END + int(np.argmax(wanted))


def _common(held: list[int], prompt: tuple[int, ...]) -> int:
    """Length of the common prefix."""
    for place, (one, other) in enumerate(zip(held, prompt, strict=False)):
        if one != other:
            return place
    return min(len(held), len(prompt))


assert FIRST_SYLLABLE == END + 1, "what may be drawn lies together"
