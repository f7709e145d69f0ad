"""One line of the table: what was simulated, what came out, and what was promised."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.analysis.series import consistent


class Check(NamedTuple):
    name: str
    measured: str
    promised: str
    holds: bool


def five_per_cent(name: str, hits: int, runs: int) -> Check:
    """A share that has to be 5 %, as far as a binomial test at 1 % can tell."""
    return share(name, hits, runs, "5 % (binomial, 1 %)", consistent(hits, runs, 0.05))


def covers(name: str, hits: int, runs: int) -> Check:
    return share(name, hits, runs, "95 % (binomial, 1 %)", consistent(hits, runs, 0.95))


def at_least(name: str, hits: int, runs: int, least: float) -> Check:
    return share(name, hits, runs, f"≥ {least:.0%}", hits >= least * runs)


def at_most(name: str, hits: int, runs: int, most: float) -> Check:
    return share(name, hits, runs, f"≤ {most:.0%}", hits <= most * runs)


def share(name: str, hits: int, runs: int, promised: str, holds: bool) -> Check:
    return Check(name, f"{hits / runs:6.1%} of {runs:,}", promised, holds)


def told(checks: Iterable[Check]) -> bool:
    """Print each as it comes; whether all hold."""
    failed = 0
    for one in checks:
        failed += not one.holds
        verdict = "holds" if one.holds else "FAILS"
        print(f"{one.name:<66} {one.measured:>15}  {one.promised:<21} {verdict}", flush=True)
    return not failed
