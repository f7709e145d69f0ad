"""A model server with a prefix cache, over the OpenAI interface: every word is a token.

It prefills one prompt at a time, faster where the prompt begins like an earlier one (in whole
blocks, as vLLM does; what it answered itself is in the cache as well), decodes slower the more
streams there are, and tells of all tokens in its usage.

`python -m tests.load.language.caching_server` serves by itself, at a port that it tells.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from tests.servers import read_request, serving

TEMPLATE: Final = ("<s>", "<user>", "</user>", "<assistant>")
"""What its chat template puts around a single message: two tokens before it, and two behind."""
Json = dict[str, Any]


@dataclass
class How:
    """How the server behaves."""

    prefill_ms: float = 0.0
    """For each token that is not in the cache."""
    gap_ms: float = 0.0
    """Between tokens, with one stream."""
    crowd_ms: float = 0.0
    """More for each other stream."""
    block: int = 16
    """So many tokens are in the cache together, or not at all; 0: there is no cache."""
    tokens_a_word: int = 1
    refuses: tuple[str, ...] = ()
    """Fields that it does not know."""
    tells_usage: bool = True
    model: str = "exact"
    key: str = ""
    """Without it nobody is served."""
    fails: tuple[int, ...] = ()
    """Which of its answers break off, counted from the first."""
    stops_at: int | None = None
    """It ends an answer there, unless it is told to ignore that."""


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: Json
    tokens: list[str]
    cached: int = 0
    answer: str = ""
    peer: int = 0
    """The port that it came from."""


@dataclass
class CachingServer:
    how: How = field(default_factory=How)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._known: set[tuple[int, int]] = set()
        self._active = 0
        self._lock, self._prefilling = threading.Lock(), threading.Lock()
        self._numbers = count()

    @property
    def generated(self) -> list[Asked]:
        """The requests for more than one token: those that count nothing before a run."""
        return [one for one in self.asked if limit_of(one.body) > 1]

    # ── the cache ────────────────────────────────────────────────────────────────────────────

    def cached(self, tokens: Sequence[str]) -> int:
        """How many of them, from the begin, are in the cache; the last one never is."""
        found = 0
        for end, key in self._blocks(tokens[:-1]):
            if key not in self._known:
                break
            found = end
        return found

    def keep(self, tokens: Sequence[str]) -> None:
        self._known.update(key for _, key in self._blocks(tokens))

    def _blocks(self, tokens: Sequence[str]) -> Iterator[tuple[int, tuple[int, int]]]:
        before, size = 0, self.how.block
        if size:
            for end in range(size, len(tokens) + 1, size):
                before = hash((before, *tokens[end - size : end]))
                yield end, (end, before)

    # ── requests ─────────────────────────────────────────────────────────────────────────────

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            pairs = (one.partition(":") for one in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self._answer(line.split(" ")[1], headers, body, connection)

    def _answer(
        self, path: str, headers: dict[str, str], body: bytes, connection: socket.socket
    ) -> None:
        if path.endswith("/models"):
            return connection.sendall(_json(200, {"data": [{"id": self.how.model}]}))
        said = json.loads(body)
        fault = self._fault(headers, said)
        if fault is not None:
            return connection.sendall(_json(fault[0], {"error": {"message": fault[1]}}))
        one = Asked(path, headers, said, self.tokens(said))
        one.peer = connection.getpeername()[1]
        with self._lock:
            one.cached = self.cached(one.tokens)
            self.asked.append(one)
            self.keep(one.tokens)
            self._active += 1
        try:
            self._generate(one, next(self._numbers), connection)
        finally:
            with self._lock:
                self._active -= 1
        return None

    def _fault(self, headers: dict[str, str], said: Json) -> tuple[int, str] | None:
        if self.how.key and headers.get("authorization") != f"Bearer {self.how.key}":
            return 401, f"the key {headers.get('authorization')} is wrong"
        if said.get("model") != self.how.model:
            return 404, f"the model `{said.get('model')}` does not exist"
        for name in self.how.refuses:
            if name == "max_tokens" and name in said:
                return 400, "'max_tokens' is not supported: use 'max_completion_tokens' instead"
            if name in said:
                return 400, f"Unrecognized request argument supplied: {name}"
        return None

    def tokens(self, said: Json) -> list[str]:
        """Those of a whole prompt, in its template."""
        if "prompt" in said:
            return self._split(said["prompt"])
        found = [TEMPLATE[0]]
        for message in said["messages"]:
            role, text = message["role"], message["content"]
            found += [f"<{role}>", *self._split(text), f"</{role}>"]
        return [*found, TEMPLATE[-1]]

    def _split(self, text: str) -> list[str]:
        words = re.findall(r"\w+|[^\w\s]", text)
        return [f"{word}{at}" for word in words for at in range(self.how.tokens_a_word)]

    def _generate(self, one: Asked, number: int, connection: socket.socket) -> None:
        how, said = self.how, one.body
        with self._prefilling:
            _sleep((len(one.tokens) - one.cached) * how.prefill_ms)
        limit = limit_of(said)
        if how.stops_at is not None and not said.get("ignore_eos"):
            limit = min(limit, how.stops_at)
        words = [f"answer{number}w{at}" for at in range(limit)]
        one.answer = " ".join(words)
        usage = {
            "prompt_tokens": len(one.tokens),
            "completion_tokens": limit,
            "prompt_tokens_details": {"cached_tokens": one.cached},
        }
        answered = [f"{word}{at}" for word in words for at in range(how.tokens_a_word)]
        self.keep([*one.tokens, *answered])
        chat, told = "messages" in said, {"usage": usage} if how.tells_usage else {}
        if not said.get("stream"):
            _sleep(limit * how.gap_ms)
            part = {"message": {"content": one.answer}} if chat else {"text": one.answer}
            whole: Json = {**part, "finish_reason": "length"}
            return connection.sendall(_json(200, {"choices": [whole], **told}))
        connection.sendall(_STREAM)
        for at, word in enumerate(words):
            if at:
                _sleep(how.gap_ms + how.crowd_ms * (self._active - 1))
            if at and number in how.fails:
                return connection.sendall(_event({"error": {"message": "no memory"}}) + _END)
            text = f" {word}" if at else word
            part = {"delta": {"content": text}} if chat else {"text": text}
            finish = "length" if at + 1 == len(words) else None
            choice: Json = {"index": 0, **part, "finish_reason": finish}
            connection.sendall(_event({"choices": [choice]}))
        last = _event({"choices": [], **told}) if _wants_usage(said) and told else b""
        return connection.sendall(last + _chunk(b"data: [DONE]\n\n") + _END)


_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"


def limit_of(said: Json) -> int:
    return int(said.get("max_completion_tokens") or said.get("max_tokens") or 16)


def _wants_usage(said: Json) -> bool:
    return bool((said.get("stream_options") or {}).get("include_usage"))


def _sleep(ms: float) -> None:
    if ms > 0:
        time.sleep(ms / 1e3)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(said: Json) -> bytes:
    return _chunk(b"data: " + json.dumps(said).encode() + b"\n\n")


def _json(status: int, said: Json) -> bytes:
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@contextmanager
def caching(how: How | None = None) -> Iterator[CachingServer]:
    """A server on threads of its own; its URL is that of its port."""
    server = CachingServer(how or How())
    with serving(server.serve) as server.port:
        yield server


def main() -> None:
    with caching(How(prefill_ms=0.1, gap_ms=5, crowd_ms=0.3)) as server:
        print(server.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
