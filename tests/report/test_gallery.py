"""The gallery is what its saved results say, and small enough to be looked at."""

import pytest

from tools.gallery import FOLDER, MOST_BYTES, PAGE, SECTIONS, Shown, made, page, read
from tracebench.model.results.result import Result

MOST_PICTURES_BYTES = 1_500_000


def test_the_page_is_that_of_the_saved_results() -> None:
    assert PAGE.read_text() == page(), "make gallery"


def test_every_picture_is_there_and_all_are_small() -> None:
    pictures = [FOLDER / f"{one.name}.webp" for one in SECTIONS]
    assert sum(picture.stat().st_size for picture in pictures) <= MOST_PICTURES_BYTES
    assert {one.name for one in FOLDER.iterdir()} == {
        *(picture.name for picture in pictures),
        *(file for one in SECTIONS for file in one.files),
    }
    for file in FOLDER.glob("*.json"):
        assert file.stat().st_size <= MOST_BYTES, file.name


@pytest.mark.parametrize("one", SECTIONS, ids=[one.name for one in SECTIONS])
def test_commands_are_those_of_the_results(one: Shown) -> None:
    for found in read(one):
        if isinstance(found, Result) and one.measured:
            amount = found.plan["requests"]
            assert any(f"--requests {amount} " in command for command in one.measured)


def test_a_picture_can_be_made() -> None:
    assert made(SECTIONS[0]).subfigs
