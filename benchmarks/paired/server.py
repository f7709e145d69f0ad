"""The example server over REST, whose inference takes a share longer: `… server SHARE`.

It prints its URL, and serves until its standard input ends. The share is of what each inference
took by itself, so that it is the same on a machine that is faster or slower at times.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from tracebench.example import listening
from tracebench.example.pictures import rest
from tracebench.example.pictures.classifier import Classifier, Tensor

HOST = "127.0.0.1"


class Slower(Classifier):
    """Infers, then computes nothing for a share of that time."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def infer(self, tensor: Tensor) -> Tensor:
        began_s = perf_counter()
        answer = super().infer(tensor)
        until_s = perf_counter() + self._share * (perf_counter() - began_s)
        while perf_counter() < until_s:
            pass
        return answer


@contextmanager
def spawned(share: float) -> Iterator[str]:
    """Run it in a process of its own; gives its URL."""
    command, pipe = [sys.executable, "-m", "benchmarks.paired.server", str(share)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process.stdout.readline().strip()  # type: ignore[union-attr] # it is a pipe
        finally:
            process.stdin.close()  # type: ignore[union-attr] # as above


def main(share: float) -> None:
    with listening.rest_listening(rest.create_app(Slower(share)), HOST, 0, 4) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(float(sys.argv[1]))
