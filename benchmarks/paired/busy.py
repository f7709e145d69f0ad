"""Keep a machine busy in spells of random length, as others who share it do: `… busy SEED`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from time import monotonic, sleep

_SPELL_S = 4.0
_SLICE_S = 0.02


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Let so many processes compute now and then, each by itself."""
    command, pipe = [sys.executable, "-m", "benchmarks.paired.busy"], subprocess.PIPE
    running = [
        subprocess.Popen([*command, str(seed)], stdin=pipe) for seed in range(1, processes + 1)
    ]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.communicate()


def main(seed: int) -> None:
    """Compute for a share of the time that changes every few seconds; endlessly."""
    random = Random(seed)
    while True:
        share = random.choice((0.0, 0.3, 0.6, 0.9))
        until_s = monotonic() + random.expovariate(1 / _SPELL_S)
        while monotonic() < until_s:
            working_until_s = monotonic() + share * _SLICE_S
            while monotonic() < working_until_s:
                pass
            sleep((1 - share) * _SLICE_S)


if __name__ == "__main__":
    main(int(sys.argv[1]))
