"""Saved results of one kind, shown together: each target under the name of its run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tracebench.model.errors import UsageError
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep

Kind = TypeVar("Kind", bound=Result | Sweep | Search | RunComparison)


@dataclass(frozen=True, slots=True)
class Several(Generic[Kind]):
    """Results of one kind, in the order in which they are shown."""

    results: Mapping[str, Kind]
    """Name → result, at least one; an only result has an empty name."""


class Shown(NamedTuple):
    """One target of one run."""

    title: str
    target: TargetResult
    run: Result


def together(found: "Kind | Several[Kind]") -> "Several[Kind]":
    """Several results, also if there is only one."""
    return found if isinstance(found, Several) else Several({"": found})


def title(name: str, target: str, count: int) -> str:
    """What a target is called: its own name, or that of its result if it is its only target.

    Args:
        name: the name of the result; empty if it is shown alone.
        target: the name of the target.
        count: how many targets the result has.
    """
    if not name:
        return target
    return name if count == 1 else f"{name}: {target}"


def targets_of(several: Several[Result]) -> Iterator[Shown]:
    """Yield the targets of all runs, each with the run that it belongs to."""
    for name, result in several.results.items():
        for target, found in result.targets.items():
            yield Shown(title(name, target, len(result.targets)), found, result)


def names_of(files: Sequence[str], labels: Sequence[str]) -> list[str]:
    """A name for each result: its label, else its file's name without folder and suffix.

    Where these are not distinct, all results go by the paths of their files.

    Raises:
        UsageError: a file is given twice.
    """
    for file in files:
        if files.count(file) > 1:
            raise UsageError(f"{file} is given twice: give each result once")
    short = [label or Path(file).stem for label, file in zip(labels, files, strict=True)]
    return short if len(set(short)) == len(short) else list(files)
