"""What is seen on a terminal while spans are waited for, and that nothing of it stays."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tracebench.cli.output.progress_line import Live


def seen(monkeypatch: pytest.MonkeyPatch, act: Callable[[Live], None]) -> str:
    """What a terminal of 60 columns is sent."""
    ours, theirs = os.openpty()
    monkeypatch.setenv("COLUMNS", "60")
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
