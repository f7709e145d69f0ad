from hypothesis import given
from hypothesis import strategies as st

from tracebench.example.language.tokenizer import END, FIRST_SYLLABLE, SIZE, decode, encode


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    assert decode(encode(text)) == text


def test_an_english_text() -> None:
    pieces = [decode([token]) for token in encode("The banana is red!")]
    assert pieces == ["T", "he", " ban", "an", "a", " is", " red", "!"]


def test_every_syllable_is_one_token() -> None:
    for token in range(FIRST_SYLLABLE, SIZE):
        assert encode(decode([token])) == [token]


def test_the_length_of_a_prompt_can_be_known() -> None:
    assert len(encode(" ba" * 100)) == 100
    assert len(encode("ü")) == 2


def test_the_end_is_no_text() -> None:
    assert decode([END]) == ""
    assert END not in encode(decode([*range(256), END]))
