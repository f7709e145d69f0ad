"""The scheduler: requests wait for a place; all that have one take each step together.

One thread runs the network. Between two steps it reads one prompt at the most, which keeps all
others waiting: that is what a long prompt costs them. A step serves all running streams at once and
takes little longer than for one of them: that is why throughput grows with the load.
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
"""After about so many tokens a text ends by itself."""
_END_BONUS: Final = float(np.log(SIZE / _USUAL_LENGTH))
_STEADY: Final = 1e-3
"""A temperature below it means the most probable token."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants."""

    prompt: tuple[int, ...]
    most: int
    """Tokens to generate; with the prompt, no more than `CONTEXT`."""
    ignores_end: bool = False
    temperature: float = 1.0
    seed: int = 0


class Piece(NamedTuple):
    """What one step adds to a text."""

    token: int
    """`END` where it adds nothing but the end."""
    finish: str
    """Why the text ends: `stop` or `length`; empty where it goes on."""


_ADMITTED: Final = Piece(END, "")
_STOPPED: Final = Piece(END, "stopped")


class Stopped(Exception):  # noqa: N818 - an ending, not a mistake
    """The engine ended before the text did."""


class Generation:
    """One request in the engine. `admitted` comes before `pieces`."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.cached = 0
        """How many tokens of the prompt were in the cache; known once admitted."""
        self.cancelled = False
        self.told: SimpleQueue[Piece] = SimpleQueue()
        """That it is admitted, then the pieces; or that the engine stopped."""

    def admitted(self) -> None:
        """Wait until the engine begins with it.

        Raises:
            Stopped: it never will.
        """
        if self.told.get() is _STOPPED:
            raise Stopped

    def pieces(self) -> Iterator[Piece]:
        """The text, piece by piece, as it comes.

        Raises:
            Stopped: the rest of it never will.
        """
        finish = ""
        while not finish:
            piece = self.told.get()
            if piece is _STOPPED:
                raise Stopped
            finish = piece.finish
            yield piece

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self.cancelled = True


class Load(NamedTuple):
    """What the engine is at."""

    running: int
    waiting: int
    cache_usage: float
    """The share of the cache that running streams fill."""
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    """The last three in all, since the engine began."""


class _Place:
    """A part of the cache, and the stream that has it."""

    def __init__(self) -> None:
        self.held: list[int] = []
        """The tokens in the cache."""
        self.next = 0
        """The last token of the stream, which is not in the cache yet."""
        self.left = 0
        self.stream: Generation | None = None
        self.draw = np.random.default_rng(0)


class Engine:
    """Runs the network for any number of threads, until it is left as a context manager.

    Args:
        places: how many streams run at once; others wait.
        keeps_prefixes: whether a prompt that begins like an earlier one uses what the cache still
            has of it.
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
        """What it is at, as seen by another thread."""
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
        """Wait until there is some; False once the engine shall end."""
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
        """The place for the next request: the one that holds most of its prompt, or the first."""
        free = [number for number, place in enumerate(self._places) if place.stream is None]
        if not self._keeps_prefixes or not self._waiting or not free:
            return free[0] if free else None
        prompt = self._waiting[0].asked.prompt
        return max(free, key=lambda number: _common(self._places[number].held, prompt))

    def _admit(self, stream: Generation, number: int) -> None:
        place, prompt = self._places[number], stream.asked.prompt
        known = min(_common(place.held, prompt), len(prompt) - 1)  # the last tells what follows
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
        """One more token for all; a free place before a running one takes part for nothing."""
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
    """Draw a syllable, or the end where it may come."""
    wanted = logits[END:].astype(np.float64)
    wanted[0] = -np.inf if asked.ignores_end else wanted[0] + _END_BONUS
    if asked.temperature >= _STEADY:
        wanted = wanted / asked.temperature + draw.gumbel(size=len(wanted))
    return END + int(np.argmax(wanted))


def _common(held: list[int], prompt: tuple[int, ...]) -> int:
    """With how many equal tokens both begin."""
    for place, (one, other) in enumerate(zip(held, prompt, strict=False)):
        if one != other:
            return place
    return min(len(held), len(prompt))


assert FIRST_SYLLABLE == END + 1, "what may be drawn lies together"
