"""Who gets a place, what the cache knows, and what becomes of those that nobody wants."""

from collections.abc import Iterator

import pytest

from tracebench.example.language.decoder import CONTEXT
from tracebench.example.language.engine import Asked, Engine, Generation, Stopped
from tracebench.example.language.tokenizer import END, encode

PROMPT = tuple(encode("Once upon a time there was"))
OTHER = tuple(encode("In the beginning it was dark"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(1) as engine:
        yield engine


@pytest.fixture(scope="module")
def caching() -> Iterator[Engine]:
    with Engine(2, keeps_prefixes=True) as engine:
        yield engine


def tokens(stream: Generation) -> list[int]:
    stream.admitted()
    return [piece.token for piece in stream.pieces()]


def asked(prompt: tuple[int, ...] = PROMPT, most: int = 8, seed: int = 0) -> Asked:
    return Asked(prompt, most, ignores_end=True, seed=seed)


def test_as_many_tokens_as_asked(engine: Engine) -> None:
    stream = engine.submit(asked(most=5))
    stream.admitted()
    pieces = list(stream.pieces())
    assert [piece.finish for piece in pieces] == ["", "", "", "", "length"]
    assert END not in {piece.token for piece in pieces}


def test_a_text_ends_by_itself(engine: Engine) -> None:
    lengths = []
    for seed in range(3):
        stream = engine.submit(Asked(PROMPT, CONTEXT - len(PROMPT), seed=seed))
        stream.admitted()
        pieces = list(stream.pieces())
        assert (pieces[-1].token, pieces[-1].finish) == (END, "stop")
        lengths.append(len(pieces))
    assert len(set(lengths)) > 1
    assert max(lengths) < CONTEXT / 2


def test_the_same_seed_says_the_same(engine: Engine) -> None:
    first, again, other = (tokens(engine.submit(asked(seed=seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_without_temperature_the_seed_is_nothing(engine: Engine) -> None:
    cold = [Asked(PROMPT, 4, ignores_end=True, temperature=0, seed=seed) for seed in (1, 2)]
    assert tokens(engine.submit(cold[0])) == tokens(engine.submit(cold[1]))


def test_others_beside_it_change_nothing(caching: Engine) -> None:
    alone = tokens(caching.submit(asked()))
    both = [caching.submit(asked()), caching.submit(asked(OTHER, 20))]
    assert tokens(both[0]) == alone
    assert len(tokens(both[1])) == 20


def test_who_finds_no_place_waits(engine: Engine) -> None:
    first, second = engine.submit(asked(most=30)), engine.submit(asked(OTHER))
    first.admitted()
    pieces = first.pieces()
    next(pieces)
    load = engine.load()
    assert (load.running, load.waiting) == (1, 1)
    assert 0 < load.cache_usage < 1
    assert second.told.empty()
    assert len([*pieces]) == 29
    assert len(tokens(second)) == 8
    load = engine.load()
    assert load.prompt_tokens == len(PROMPT) + len(OTHER)
    assert load.generated_tokens == 38


def test_what_nobody_wants_makes_room(engine: Engine) -> None:
    endless = engine.submit(asked(most=CONTEXT - len(PROMPT)))
    endless.admitted()
    never = engine.submit(asked(OTHER))
    last = engine.submit(asked(OTHER))
    never.cancel()
    endless.cancel()
    assert len(tokens(last)) == 8
    assert never.told.empty()
    assert engine.load().generated_tokens < CONTEXT / 2


def test_without_a_cache_nothing_is_known(engine: Engine) -> None:
    first, again = engine.submit(asked()), engine.submit(asked())
    assert tokens(first) == tokens(again)
    assert (first.cached, again.cached) == (0, 0)


def test_a_prompt_that_is_known_is_not_read_again(caching: Engine) -> None:
    prompt = tuple(encode(" zebra" * 20))
    first = caching.submit(asked(prompt))
    said = tokens(first)
    again = caching.submit(asked(prompt))
    assert tokens(again) == said
    longer = caching.submit(asked((*prompt, *PROMPT)))
    tokens(longer)
    assert first.cached < 10, "little of others' prompts"
    assert again.cached == len(prompt) - 1, "the last token tells what follows"
    assert longer.cached == len(prompt)


def test_what_waits_when_it_ends_is_told() -> None:
    with Engine(1) as engine:
        running, waiting = engine.submit(asked(most=CONTEXT - len(PROMPT))), engine.submit(asked())
        running.admitted()
    with pytest.raises(Stopped):
        list(running.pieces())
    with pytest.raises(Stopped):
        tokens(waiting)
    with pytest.raises(Stopped):
        tokens(engine.submit(asked()))
