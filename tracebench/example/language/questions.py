"""What the demo asks the language model; needs no package of the extra `example`."""

import json
import random
from typing import Final

from tracebench.example.language.tokenizer import FIRST_SYLLABLE, SIZE, decode

ROUTE: Final = "/v1/completions"
METHOD: Final = "completions.Completions/Complete"
PROMPT_TOKENS: Final = 256
ANSWER_TOKENS: Final = 64
_DIFFERENT: Final = 4
"""Each is tried once before the load, so few keep the start short."""
_SPACED: Final = FIRST_SYLLABLE + (SIZE - FIRST_SYLLABLE) // 2
"""The first syllable with a space before it: such ones stay apart when they are cut again."""


def questions() -> list[bytes]:
    """Requests as JSON, for both protocols; no two prompts begin alike."""
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
