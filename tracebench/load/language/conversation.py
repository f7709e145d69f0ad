"""Conversations: requests whose history grows by the server's actual answers.

A server's prefix cache contains its own answers. Made-up answers of the same length would have to
be prefilled again, and the cache would look worse than it is for users.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tracebench.load.language.interface import Interface, Message
from tracebench.load.streams.reply_text import spoken
from tracebench.load.wire.codec import StreamLog
from tracebench.load.wire.http1 import HttpRequest
from tracebench.load.wire.prompt_request import PLACE, nonce, with_length
from tracebench.model.plan import Spread
from tracebench.model.shards import WHOLE, Endless, Shard

_NO_MESSAGES: Final = b'"messages": []'


@dataclass(frozen=True, slots=True)
class Script:
    """The user's side of one conversation."""

    opening: Sequence[Message]
    follow_ups: Sequence[str]


class Conversation:
    """The conversations of one slot; each request repeats the conversation so far.

    Args:
        template: a request to the server, with any body.
        interface: how requests are written.
        scripts: endless iterator over users' messages; slots may share it.
        outputs: tokens to request in each turn.
        variants: index of each turn among the target's requests.
        think_ns: draws the user's think time, in ns.
    """

    def __init__(
        self,
        template: HttpRequest,
        interface: Interface,
        scripts: Iterator[Script],
        outputs: Sequence[int],
        variants: Sequence[int],
        think_ns: Callable[[], int],
    ) -> None:
        self._template, self._scripts, self._draw_ns = template, scripts, think_ns
        empty = (interface.body((), one).partition(_NO_MESSAGES) for one in outputs)
        self._around = [(before + b'"messages": [', b"]" + after) for before, _, after in empty]
        """For each turn, the parts of the body before and after the messages."""
        self._variants = variants
        self._turn = 0
        self._messages = bytearray()
        self._log: StreamLog | None = None
        self._sent = False
        self._nonce_at = -1
        self._begin()

    @property
    def body(self) -> bytes:
        """The body of the next request."""
        before, after = self._around[self._turn]
        return before + self._messages + after

    @property
    def variant(self) -> int:
        """See `Talk`."""
        return self._variants[self._turn]

    def think_ns(self) -> int:
        """See `Talk`."""
        return self._draw_ns() if self._turn else 0

    def buffers(self, ids: bytes) -> list[bytes]:
        """See `HttpRequest.buffers`; the nonce of a conversation is that of its first request."""
        if not self._turn and self._nonce_at >= 0:
            self._messages[self._nonce_at : self._nonce_at + len(PLACE)] = nonce(ids)
        self._sent = True
        before, after = self._around[self._turn]
        size = len(before) + len(self._messages) + len(after)
        head = with_length(self._template.head, size) + ids + self._template.tail
        return [head, before, bytes(self._messages), after]

    def hear(self, log: StreamLog) -> None:
        """See `Talk`."""
        self._log = log

    def go_on(self) -> Iterator[None]:
        """See `Talk`."""
        if not self._sent:
            return  # not sent yet, so it is still valid
        log, self._log, self._sent = self._log, None, False
        if log is not None and self._turn < self._last_turn():
            answer = yield from spoken(log)
            if answer is not None:
                self._say("assistant", answer)
                self._say("user", self._script.follow_ups[self._turn])
                self._turn += 1
                return
        self._begin()

    def _last_turn(self) -> int:
        return min(len(self._script.follow_ups), len(self._around) - 1)

    def _begin(self) -> None:
        self._script = next(self._scripts)
        self._turn = 0
        self._messages.clear()
        for role, text in self._script.opening:
            self._say(role, text)
        self._nonce_at = self._messages.find(PLACE)

    def _say(self, role: str, text: str) -> None:
        if self._messages:
            self._messages += b", "
        said = {"role": role, "content": text}
        self._messages += json.dumps(said, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Talking:
    """What the conversations of a load are made from."""

    template: HttpRequest
    """A request to the server, with any body."""
    interface: Interface
    scripts: Sequence[Script]
    """Begun in this order, repeatedly."""
    outputs: Sequence[int]
    """Tokens to request; the request of a slot in a turn has the index turn · slots + slot."""
    slots: int
    think: Spread
    """The user's think time, in s."""
    seed: int


class Conversations:
    """The conversations of the slots that a shard of the load takes; see `Talks`.

    A copy in another process begins anew.
    """

    def __init__(self, told: Talking, shard: Shard = WHOLE) -> None:
        self._told, self._shard = told, shard
        turns, every = range(len(told.outputs)), told.slots
        shared = told.template, told.interface, Endless(told.scripts).dealt(shard)
        think_ns = _thinking(told.think, told.seed, shard)
        self.of_slots = [
            Conversation(*shared, told.outputs[slot::every], turns[slot::every], think_ns)
            for slot in shard.of_sequence(range(told.slots))
        ]
        """In the order of the slots."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Conversations, (self._told, self._shard)

    def requests(self) -> list[Conversation]:
        """See `Talks`; where a request belongs to another shard, its place is filled by any."""
        told, own = self._told, self.of_slots
        places = [own[slot // self._shard.of % len(own)] for slot in range(told.slots)]
        return places * (len(told.outputs) // told.slots)

    def dealt(self, shard: Shard) -> "Conversations":
        """See `Talks`."""
        return Conversations(self._told, shard)


def _thinking(spread: Spread, seed: int, shard: Shard) -> Callable[[], int]:
    """Return a function that draws think times, in ns; each shard draws its own."""
    draw = Random(f"think {seed}{shard.number or ''}").gauss
    return lambda: max(round(draw(spread.mean, spread.sd) * 1e9), 0)
