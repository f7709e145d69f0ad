"""Whichever way tokens come into the cache, what follows from them is the same."""

import numpy as np
import pytest

from tracebench.example.language.decoder import Decoder
from tracebench.example.language.tokenizer import SIZE, encode

PROMPT = encode("The quick brown fox jumps over the lazy dog")
CLOSE = 1e-4


def test_a_prompt_in_two_parts(decoder: Decoder) -> None:
    whole = decoder.read(0, PROMPT, 0)
    decoder.read(1, PROMPT[:7], 0)
    assert np.allclose(decoder.read(1, PROMPT[7:], 7), whole, atol=CLOSE)


def test_token_by_token(decoder: Decoder) -> None:
    whole = decoder.read(0, PROMPT, 0)
    decoder.read(0, PROMPT[:1], 0)
    for known, token in enumerate(PROMPT[1:], 1):
        (logits,) = decoder.step([token], [known])
    assert np.allclose(logits, whole, atol=CLOSE)


def test_streams_of_one_step_do_not_mix(decoder: Decoder) -> None:
    other = encode("Pack my box with five dozen liquor jugs, if you please")
    alone = [decoder.read(0, one, 0) for one in (PROMPT, other)]
    decoder.read(0, PROMPT[:-1], 0)
    decoder.read(1, other[:-1], 0)
    lengths = [len(PROMPT) - 1, len(other) - 1]
    assert lengths[0] != lengths[1]
    both = decoder.step([PROMPT[-1], other[-1]], lengths)
    assert np.allclose(both, alone, atol=CLOSE)


@pytest.mark.parametrize("place", [0, len(PROMPT) // 2, len(PROMPT) - 1])
def test_every_token_of_a_prompt_counts(decoder: Decoder, place: int) -> None:
    whole = decoder.read(0, PROMPT, 0)
    changed = [*PROMPT]
    changed[place] += 1
    assert np.abs(decoder.read(0, changed, 0) - whole).max() > 0.1


def test_the_order_of_tokens_counts(decoder: Decoder) -> None:
    assert PROMPT[3] != PROMPT[4]
    swapped = [*PROMPT[:3], PROMPT[4], PROMPT[3], *PROMPT[5:]]
    difference = decoder.read(0, swapped, 0) - decoder.read(0, PROMPT, 0)
    assert np.abs(difference).max() > 0.1


def test_another_network_is_the_same(decoder: Decoder) -> None:
    found = Decoder(1).read(0, PROMPT, 0)
    assert found.shape == (SIZE,)
    assert np.array_equal(found, decoder.read(0, PROMPT, 0))
