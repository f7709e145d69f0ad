"""The prompts that the demo sends to the language model; needs no package of extra `example`."""

import json
import random
from typing import Final

from tracebench.example.language.tokenizer import FIRST_SYLLABLE, SIZE, decode

ROUTE: Final = "/v1/completions"
METHOD: Final = "completions.Completions/Complete"
PROMPT_TOKENS: Final = 256
ANSWER_TOKENS: Final = 64
_DIFFERENT: Final = 4
"""Number of distinct prompts: each is tried once before the load, so few keep the start short."""
_SPACED: Final = FIRST_SYLLABLE + (SIZE - FIRST_SYLLABLE) // 2
"""The first token with a leading space: such syllables stay separate when tokenised again."""


def questions() -> list[bytes]:
    """JSON requests for both protocols; no two prompts begin alike."""
    draw = random.Random(7)
    return [
        json.dumps(
            {
                "prompt": decode(draw.choices(range(_SPACED, SIZE), k=PROMPT_TOKENS)),
                "max_tokens": ANSWER_TOKENS,
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        for _ in range(_DIFFERENT)
    ]
