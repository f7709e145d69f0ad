"""Conversations in the table: of many turns the first ones and the last."""

from rich.console import Console, Group

from tracebench.model.results.stream_result import Turn
from tracebench.report.tables.turn_table import turn_block


def shown(turns: int) -> list[list[str]]:
    console = Console(width=100)
    with console.capture() as captured:
        several = [Turn(at + 1, 5, 10.0, None, 3.0, None, None) for at in range(turns)]
        console.print(Group(*turn_block(several)))
    return [line.split() for line in captured.get().splitlines() if line.strip()]


def test_no_turns_no_block() -> None:
    assert shown(0) == []


def test_what_nobody_knows_is_a_dash() -> None:
    assert shown(1)[1] == ["1", "5", "10", "–", "–", "–", "–"]


def test_of_many_the_last_one_is_shown_too() -> None:
    first = [line[0] for line in shown(12)[1:-1]]
    assert first == [str(at) for at in range(1, 13)]
    first = [line[0] for line in shown(40)[1:-1]]
    assert first == [*(str(at) for at in range(1, 12)), "…", "40"]
