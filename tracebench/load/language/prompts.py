"""The requests of a run against a language model, whose bodies are built before the run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final, NamedTuple

from tracebench.load.language.conversation import Conversations, Script, Talking
from tracebench.load.language.dialogue import Dialogue, count_words
from tracebench.load.language.interface import Message
from tracebench.load.language.lengths import drawn
from tracebench.load.language.made_up import starts, text
from tracebench.load.language.tokenizer import Tokenizer, load
from tracebench.load.wire.codec import Request
from tracebench.load.wire.http1 import HttpRequest
from tracebench.load.wire.prompt_request import (
    NONCE_WORDS,
    PLACE,
    WORD_SIZE,
    PromptRequest,
    nonce,
    with_length,
)
from tracebench.model.errors import UsageError
from tracebench.model.language import Agreement, WordCount
from tracebench.model.plan import BLOCK_TOKENS, LanguageModel, Plan, Prompt, Spread
from tracebench.tracing.roots.trace_ids import IdSource

DEFAULT_INPUT: Final = Spread(256)
DEFAULT_OUTPUT: Final = Spread(128)
MOST_PROMPTS: Final = 1_000
"""Largest number of generated prompts; longer runs repeat them, each time with a new nonce."""
MOST_BYTES: Final = 64 << 20
"""Largest total size of generated prompts."""
_PLACE: Final = PLACE.decode()


class Built(NamedTuple):
    """The requests of a run, and what was agreed on with the server."""

    requests: Sequence[Request]
    first: HttpRequest
    """The request to try before the run."""
    agreement: Agreement
    talks: Conversations | None = None
    """The conversations of the slots; None: requests are independent."""


def build(plan: Plan, dialogue: Dialogue, template: HttpRequest) -> Built:
    """Build the requests, after finding out what the server accepts and how it counts tokens.

    Args:
        plan: what to request.
        dialogue: the dialogue with the server.
        template: a request to the server, with any body.

    Raises:
        UsageError: prompts of the planned length are not possible.
        TargetError: the server does not answer.
    """
    asked = plan.language
    tokenizer = None if asked.tokenizer is None else load(asked.tokenizer)
    mean = round((asked.input_tokens or DEFAULT_INPUT).mean)
    if not asked.prompts or any(not one.messages for one in asked.prompts):
        count = count_words(dialogue, mean, tokenizer)
    else:
        dialogue.ask_words(NONCE_WORDS + 1)
        count = WordCount()
    writer = Writer(asked, count, plan.load.seed, tokenizer)
    if asked.turns > 1:
        return _conversations(plan, dialogue, template, writer, count)
    written = writer.of_file() if asked.prompts else writer.made_up(_how_many(plan, mean))
    bodies = [dialogue.interface.body(one.messages, one.output_tokens) for one in written]
    requests = [with_body(template, body) for body in bodies]
    agreement = replace(
        _agreement(plan, dialogue, count),
        prompts=len(bodies),
        input_tokens=[one.input_tokens for one in written],
        output_tokens=[one.output_tokens for one in written],
    )
    return Built(requests, requests[0], agreement)


def _conversations(
    plan: Plan, dialogue: Dialogue, template: HttpRequest, writer: "Writer", count: WordCount
) -> Built:
    """Build a conversation for each slot; its request in a turn has index turn · slots + slot."""
    asked, slots = plan.language, plan.load.concurrency
    mean = round((asked.input_tokens or DEFAULT_INPUT).mean)
    several = -(-_how_many(plan, mean) // asked.turns)
    scripts = writer.scripts(several)
    outputs = drawn(
        asked.output_tokens or DEFAULT_OUTPUT, asked.turns * slots, f"output {plan.load.seed}"
    )
    shared = template, dialogue.interface, scripts, outputs, slots
    talks = Conversations(Talking(*shared, asked.think_time_s, plan.load.seed))
    agreement = replace(
        _agreement(plan, dialogue, count),
        prompts=len(scripts),
        output_tokens=outputs,
        shares=True,
        turns=[variant // slots for variant in range(len(outputs))],
    )
    first = dialogue.interface.body(scripts[0].opening, outputs[0])
    return Built(talks.requests(), with_body(template, first), agreement, talks)


def _agreement(plan: Plan, dialogue: Dialogue, count: WordCount) -> Agreement:
    asked = plan.language
    shares = asked.reuse_prompts or asked.prefix_tokens or any(one.blocks for one in asked.prompts)
    return Agreement(
        interface="chat completions" if dialogue.interface.chat else "completions",
        count=count,
        dropped=dialogue.dropped,
        adds_load=dialogue.interface.adds_load(),
        shares=bool(shares),
    )


def with_body(template: HttpRequest, body: bytes) -> HttpRequest:
    """The request with another body; if that has a place for a nonce, it is filled when sent."""
    head = with_length(template.head, len(body))
    if (at := body.find(PLACE)) < 0:
        return HttpRequest(head, template.tail, body)
    return PromptRequest(head, template.tail, body, at)


def _how_many(plan: Plan, mean_tokens: int) -> int:
    """How many prompts to generate: one for each request, within bounds."""
    asked = plan.load.requests
    wanted = MOST_PROMPTS if asked is None else asked + plan.load.warmup_requests
    fitting = MOST_BYTES // (mean_tokens * (WORD_SIZE + 1) + 1_000)
    return max(min(wanted, MOST_PROMPTS, fitting), 1)


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt, its length if known, and the number of tokens to request."""

    messages: Sequence[Message]
    input_tokens: int | None
    output_tokens: int


class Writer:
    """Writes prompts.

    Args:
        asked: the plan's description of the prompts.
        count: converts words to tokens.
        seed: seed for random lengths and texts.
        tokenizer: counts recorded answers, if there is one.
    """

    def __init__(
        self, asked: LanguageModel, count: WordCount, seed: int, tokenizer: Tokenizer | None
    ) -> None:
        self._asked, self._count, self._seed = asked, count, f"{seed}"
        self._tokenizer = tokenizer
        self._run = "" if asked.reuse_prompts else nonce(IdSource().draw()).decode()
        """Starts the shared prefix, so that it differs from that of any earlier run."""
        self._place = "" if asked.reuse_prompts else _PLACE

    def made_up(self, count: int) -> list[Written]:
        """Generate `count` prompts of random words.

        Raises:
            UsageError: prompts cannot be as short as planned.
        """
        asked, prefix = self._asked, self._prefix()
        own = len(_words(prefix)) + NONCE_WORDS
        least = self._tokens(own)
        input_tokens = asked.input_tokens or DEFAULT_INPUT
        if round(input_tokens.mean) < least:
            raise UsageError(
                f"--input-tokens {input_tokens.mean:g} is too short: the chat template, the "
                f"prefix and the words that differ take {least} tokens already"
            )
        lengths = drawn(input_tokens, count, f"input {self._seed}", least)
        outputs = self._outputs(count)
        return [
            Written([("user", self._text(prefix, tokens, start))], tokens, output)
            for tokens, output, start in zip(lengths, outputs, starts(self._seed), strict=False)
        ]

    def of_file(self) -> list[Written]:
        """The prompts of the prompts file, in their order."""
        outputs = self._outputs(len(self._asked.prompts))
        drawn_starts = starts(self._seed)
        return [
            self._of_file(prompt, output, start)
            for prompt, output, start in zip(
                self._asked.prompts, outputs, drawn_starts, strict=False
            )
        ]

    def scripts(self, count: int) -> list[Script]:
        """The user's messages in `count` conversations; all turns are as long as the first."""
        if self._asked.prompts:
            prompts = zip(self.of_file(), self._asked.prompts, strict=True)
            return [Script(one.messages, prompt.follow_ups) for one, prompt in prompts]
        later, drawn_starts = self._asked.turns - 1, starts(f"later {self._seed}")
        scripts = []
        for one in self.made_up(count):
            words = max(round((one.input_tokens or 0) / self._count.per_word), 1)
            own = islice(drawn_starts, later)
            follow_ups = [text(words, self._seed, start) for start in own]
            scripts.append(Script(one.messages, follow_ups))
        return scripts

    def _of_file(self, prompt: Prompt, output: int, start: int) -> Written:
        if self._asked.output_tokens is None:
            output = prompt.output_tokens or self._length_of(prompt.answer) or output
        if prompt.messages:
            (role, first), *others = prompt.messages
            begin = f"{self._place}\n{first}" if self._place else first
            return Written([(role, begin), *others], None, output)
        tokens = prompt.input_tokens or round((self._asked.input_tokens or DEFAULT_INPUT).mean)
        if prompt.blocks:
            return Written([("user", self._of_blocks(prompt.blocks, tokens))], tokens, output)
        return Written([("user", self._text("", tokens, start))], tokens, output)

    def _outputs(self, count: int) -> list[int]:
        spread = self._asked.output_tokens or DEFAULT_OUTPUT
        return drawn(spread, count, f"output {self._seed}")

    def _length_of(self, answer: str) -> int:
        return self._tokenizer.count(answer) if self._tokenizer is not None else 0

    def _prefix(self) -> str:
        """The text that all requests of the run begin with.

        Raises:
            UsageError: the prefix is too short to differ from that of another run.
        """
        if not self._asked.prefix_tokens:
            return ""
        words = round(self._asked.prefix_tokens / self._count.per_word)
        if words < NONCE_WORDS:
            raise UsageError(
                f"--prefix-tokens {self._asked.prefix_tokens} is too short to differ from run to "
                f"run: give {self._tokens(NONCE_WORDS)} or more"
            )
        if not self._run:
            return text(words, f"prefix {self._seed}", 0)
        return _joined(self._run, text(words - NONCE_WORDS, f"prefix {self._seed}", 0))

    def _text(self, prefix: str, tokens: int, start: int) -> str:
        """A prompt of `tokens` tokens in total: the prefix, a nonce, and words."""
        before = _joined(prefix, self._place)
        words = self._count.words(tokens) - len(_words(before))
        return _joined(before, text(max(words, 0), self._seed, start))

    def _of_blocks(self, blocks: Sequence[int], tokens: int) -> str:
        """A prompt made of blocks; prompts with the same first block numbers begin alike."""
        each = max(round(BLOCK_TOKENS / self._count.per_word), 1)
        words = max(self._count.words(tokens) - len(_words(self._run)), 1)
        some = islice(blocks, -(-words // each))
        parts = (text(each, "blocks", Random(f"block {one}").getrandbits(32)) for one in some)
        return _joined(self._run, " ".join(_words(" ".join(parts))[:words]))

    def _tokens(self, words: int) -> int:
        """The fewest tokens that `words` words may have."""
        return -int(-(self._count.overhead + self._count.per_word * words) // 1)


def _words(text_: str) -> list[str]:
    return text_.split()


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))
