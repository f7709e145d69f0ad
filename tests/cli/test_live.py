"""What is seen on a terminal while spans are waited for, and that nothing of it stays."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.model.test_progress import latencies
from tracebench.cli.output.progress_line import Lately, Live
from tracebench.model.progress import Progress


def seen(monkeypatch: pytest.MonkeyPatch, act: Callable[[Live], None], columns: int = 60) -> str:
    """What a terminal is sent."""
    ours, theirs = os.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        act(Live(10, None))
    text = b""
    with os.fdopen(ours, "rb", buffering=0) as screen, suppress(OSError):  # how a terminal ends
        while part := screen.read(4_096):
            text += part
    return text.decode()


def test_what_is_waited_for_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = seen(monkeypatch, lambda live: live.waits("waiting for 3 of 10 traces in Jaeger"))
    assert text == "\r\033[Kwaiting for 3 of 10 traces in Jaeger (Ctrl-C: go on without"


def test_it_is_wiped_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(live: Live) -> None:
        live.waits("waiting")
        live.ends()

    assert seen(monkeypatch, act).endswith(" without)\r\033[K")


def test_nothing_is_sent_to_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Live(10, None).waits("waiting")
    assert capsys.readouterr().err == ""


def test_the_line_shows_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(live: Live) -> None:
        live.begins("rest", "", "")
        for tick in range(31):  # ten times a second; slow at first
            succeeded = 10 * tick if tick < 20 else 200 + 100 * (tick - 20)
            kinds = {"": latencies([2_000_000] * succeeded), "503": latencies([1] * tick)}
            live.progress(Progress(succeeded + tick, tick / 10, 50 * tick, 0, kinds))

    last = seen(monkeypatch, act, columns=120).rpartition("\r\033[K")[2]
    assert "1,230 done  1,010/s  p50 1.9 p99 2 ms  30 failed  500 tokens/s" in last
    assert "100%" in last


def test_a_narrow_terminal_gets_the_start_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    last = seen(monkeypatch, lambda live: live.progress(Progress(5, 1.0))).rpartition("\r\033[K")[2]
    assert len(last) <= 59
    assert " 50%  5 done  5/s" in last


def test_what_nobody_sees_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Live(10, None).detailed


def test_the_last_second_starts_anew_with_another_run_of_the_target() -> None:
    lately = Lately()
    for now_s in (0.5, 1.0, 1.6):
        lately.since(Progress(0, now_s))
    assert lately.since(Progress(0, 2.0)).elapsed_s == 1.0
    assert lately.since(Progress(0, 0.1)).elapsed_s == 0.0
