"""`compare_results(a, b)` → `RunComparison`: a comparison of saved runs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from tracebench.analysis.difference.answer import answer
from tracebench.analysis.difference.between_runs import ENOUGH_RUNS, differences
from tracebench.analysis.difference.caveats import doubts, unlike
from tracebench.analysis.statistics.histogram import decoded, merged, quantiles_ms
from tracebench.model.components import END_TO_END
from tracebench.model.errors import UsageError
from tracebench.model.results.comparison import RunComparison, Shift, Side
from tracebench.model.results.result import Difference, Result, TargetResult
from tracebench.report.answer.where import where
from tracebench.report.files import result_file
from tracebench.system.input_files import read_text

PERCENTILES: Final = (*map(float, range(1, 100)), 99.5, 99.9)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one side."""

    results: tuple[Result, ...]
    names: tuple[str, ...]
    """File names, for messages; one a result."""
    target: str | None = None
    """The target to compare in every run; None: all targets that both sides have."""


def load(arguments: Sequence[str]) -> Runs:
    """Read the result files of one side.

    Args:
        arguments: `FILE` or `FILE:TARGET`, at least one.

    Raises:
        UsageError: a file cannot be read or is not a result, or two arguments name different
            targets.
    """
    chosen = [_file_and_target(one) for one in arguments]
    targets = {target for _, target in chosen}
    if len(targets) > 1:
        raise UsageError(
            f"{' '.join(arguments)}: all runs of a side are of one target: give each file the same "
            "FILE:TARGET"
        )
    files = tuple(file for file, _ in chosen)
    results = tuple(result_file.loads(read_text("", file), file) for file in files)
    return Runs(results, files, targets.pop())


def _file_and_target(argument: str) -> tuple[str, str | None]:
    """Split `FILE:TARGET`; an argument that is itself an existing file has no target."""
    file, colon, target = argument.rpartition(":")
    if colon and file and target and not os.path.exists(argument):
        return file, target
    return argument, None


def compare_results(
    a: Sequence[Result],
    b: Sequence[Result],
    *,
    a_names: Sequence[str] = (),
    b_names: Sequence[str] = (),
    a_target: str | None = None,
    b_target: str | None = None,
) -> RunComparison:
    """Compare the runs of side B with the runs of side A.

    Args:
        a: runs of side A, at least one; with three or more on both sides, each run counts as one
            value of the sample.
        b: runs of side B, likewise.
        a_names: names of A's runs in messages; empty: `A1`, `A2`, ….
        b_names: names of B's runs; empty: `B1`, `B2`, ….
        a_target: the target to use from A's runs; None: every target that all runs of both sides
            have, or the only one on each side.
        b_target: the target to use from B's runs, likewise.

    Raises:
        UsageError: the runs cannot be compared; the message says why, and what to change.
    """
    sides = (
        Runs(tuple(a), tuple(a_names) or _numbered("A", a), a_target),
        Runs(tuple(b), tuple(b_names) or _numbered("B", b), b_target),
    )
    return compare_runs(*sides)


def compare_runs(a: Runs, b: Runs) -> RunComparison:
    """Compare two sides like `compare_results`, given runs that carry their names.

    Raises:
        UsageError: the runs cannot be compared; the message says why, and what to change.
    """
    if not a.results or not b.results:
        raise UsageError("nothing to compare: give at least one run on each side")
    pairs = _pairs(a, b)
    _refuse_repeated(a, b, pairs)
    sides = {name: (_targets(a, of_a), _targets(b, of_b)) for name, (of_a, of_b) in pairs.items()}
    enough = min(len(a.results), len(b.results)) >= ENOUGH_RUNS
    _check(a, [of_a for of_a, _ in pairs.values()], needs_blocks=not enough)
    _check(b, [of_b for _, of_b in pairs.values()], needs_blocks=not enough)
    found = differences(sides)
    errors = {name: _errors(*runs) for name, runs in sides.items()}
    return RunComparison(
        a=_side("A", a, {name: of_a for name, (of_a, _) in pairs.items()}),
        b=_side("B", b, {name: of_b for name, (_, of_b) in pairs.items()}),
        sentences={name: f"{answer(one, errors[name])}." for name, one in found.items()},
        differences=found,
        throughput_rps={name: _throughput(*runs) for name, runs in sides.items()},
        errors_share=errors,
        shift=dict(_shifts(a, b, sides)),
        run_to_run="measured" if enough else "unknown",
        caveats=(*_caveats(a, b, pairs), *_left_out(a, b, pairs)),
    )


def _numbered(letter: str, runs: Sequence[Result]) -> tuple[str, ...]:
    return tuple(f"{letter}{number}" for number, _ in enumerate(runs, 1))


def _targets(runs: Runs, name: str) -> tuple[TargetResult, ...]:
    return tuple(one.targets[name] for one in runs.results)


def _pairs(a: Runs, b: Runs) -> dict[str, tuple[str, str]]:
    """The pairs of targets to compare: name of the pair → target on side A, target on side B."""
    if a.target is not None or b.target is not None:
        return _named(_only(a, b), _only(b, a))
    in_all = _in_all(b)
    common = [name for name in _in_all(a) if name in in_all]
    if common:
        return {name: (name, name) for name in common}
    if len(_in_all(a)) == len(in_all) == 1:
        return _named(_in_all(a)[0], in_all[0])
    raise UsageError(
        f"no target is in all runs: A has {_listed(a)}, B has {_listed(b)}: choose one of each "
        "with FILE:TARGET"
    )


def _named(of_a: str, of_b: str) -> dict[str, tuple[str, str]]:
    return {of_a if of_a == of_b else f"{of_b} against {of_a}": (of_a, of_b)}


def _only(side: Runs, other: Runs) -> str:
    """The target chosen for a side; else the one chosen for the other side, or the only one."""
    known = _in_all(side)
    wanted = side.target if side.target is not None else other.target
    if wanted in known:
        return str(wanted)
    if side.target is None and len(known) == 1:
        return known[0]
    raise UsageError(
        f"{' '.join(side.names)}: there is no target {wanted!r}: choose one of {_listed(side)}"
    )


def _in_all(runs: Runs) -> list[str]:
    """The targets that all runs of a side have."""
    first, *others = runs.results
    return [name for name in first.targets if all(name in one.targets for one in others)]


def _listed(runs: Runs) -> str:
    return ", ".join(dict.fromkeys(name for one in runs.results for name in one.targets))


def _refuse_repeated(a: Runs, b: Runs, pairs: Mapping[str, tuple[str, str]]) -> None:
    """Refuse a run that appears twice: compared with itself, it would never differ.

    Raises:
        UsageError: a run appears twice.
    """
    for of_a, of_b in pairs.values():
        seen: dict[tuple[object, str], str] = {}
        for side, target in ((a, of_a), (b, of_b)):
            for name, one in zip(side.names, side.results, strict=True):
                key = (one.tool.get("run_id") or id(one), target)
                if key in seen:
                    raise UsageError(
                        f"{seen[key]} and {name} are the same run of {target}: give each once"
                    )
                seen[key] = name


def _check(runs: Runs, targets: Sequence[str], *, needs_blocks: bool) -> None:
    """Check that the targets have the data that a comparison needs.

    Raises:
        UsageError: a run has no successful request, or its file is too old.
    """
    for name, one in zip(runs.names, runs.results, strict=True):
        for target in targets:
            found = one.targets[target]
            if END_TO_END not in found.components:
                raise UsageError(
                    f"{name}: {target} has no successful request: there is nothing to compare"
                )
            if needs_blocks and found.blocks is None:
                raise UsageError(
                    f"{name}: {target} has no blocks, as an older tracebench wrote it: measure it "
                    f"again, or give {ENOUGH_RUNS} runs a side"
                )


def _side(letter: str, runs: Runs, targets: Mapping[str, str]) -> Side:
    first = runs.results[0].targets
    addresses = {name: first[one].address for name, one in targets.items()}
    return Side(letter, runs.names, addresses, where(runs.results))


def _shifts(
    a: Runs, b: Runs, sides: Mapping[str, tuple[Sequence[TargetResult], Sequence[TargetResult]]]
) -> Iterator[tuple[str, Shift]]:
    """The percentiles of each target's end-to-end time on both sides, where all runs have them.

    Raises:
        UsageError: a histogram is damaged.
    """
    for target, (of_a, of_b) in sides.items():
        if all(END_TO_END in one.histograms for one in (*of_a, *of_b)):
            found = (_quantiles_ms(*both) for both in ((a, of_a), (b, of_b)))
            yield target, Shift(PERCENTILES, *found)


def _quantiles_ms(runs: Runs, targets: Sequence[TargetResult]) -> tuple[float, ...]:
    histograms = []
    for name, one in zip(runs.names, targets, strict=True):
        try:
            histograms.append(decoded(one.histograms[END_TO_END]))
        except ValueError as error:
            raise UsageError(
                f"{name} has a damaged histogram of {END_TO_END} ({error}): give the file as "
                "--output-json wrote it"
            ) from None
    return tuple(quantiles_ms(merged(histograms), [one / 100 for one in PERCENTILES]))


def _throughput(a: Sequence[TargetResult], b: Sequence[TargetResult]) -> Difference:
    of_a, of_b = (fmean(one.throughput_rps for one in side) for side in (a, b))
    return Difference(of_a, of_b, of_b - of_a, None)


def _errors(a: Sequence[TargetResult], b: Sequence[TargetResult]) -> Difference:
    of_a, of_b = _error_share(a), _error_share(b)
    return Difference(of_a, of_b, of_b - of_a, None)


def _error_share(runs: Sequence[TargetResult]) -> float:
    failed = sum(one.requests.failed + one.requests.timed_out for one in runs)
    ended = failed + sum(one.requests.succeeded for one in runs)
    return failed / ended if ended else 0.0


def _caveats(a: Runs, b: Runs, pairs: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield from _of_one_run(a, b)
    yield from unlike(a.results, b.results)
    for side, at in ((a, 0), (b, 1)):
        for names in pairs.values():
            yield from doubts(side.names, side.results, [names[at]] * len(side.results))


def _of_one_run(a: Runs, b: Runs) -> Iterator[str]:
    """Warn if both targets are of one run: its own comparison, of alternating blocks, is better."""
    known = {one.tool.get("run_id"): name for name, one in zip(a.names, a.results, strict=True)}
    for one in b.results:
        run_id = one.tool.get("run_id")
        if run_id and run_id in known:
            own = f"`tracebench report {known[run_id]}` tells its own comparison"
            yield f"both targets are of one run: {own}"


def _left_out(a: Runs, b: Runs, pairs: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """List the targets that were not compared because some run lacks them."""
    if a.target is not None or b.target is not None:
        return
    for letter, side, at in (("A", a, 0), ("B", b, 1)):
        used = {names[at] for names in pairs.values()}
        others = dict.fromkeys(name for one in side.results for name in one.targets)
        if left := [name for name in others if name not in used]:
            yield f"{', '.join(left)}: not in all runs, so not compared (in {letter})"
