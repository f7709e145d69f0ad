"""The options that make a run a test (`--fail-if`, …), and the evaluation of its gates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from tracebench.cli.options.completing import CHANGE_TEXT, FILE, GATE_TEXT
from tracebench.cli.options.filling import SUCCESS, headed
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Comparison, Result
from tracebench.system.input_files import read_text

FAIL_IF = headed(
    SUCCESS,
    click.option(
        "--fail-if",
        type=GATE_TEXT,
        multiple=True,
        metavar="'rest.inference.p95_ms > 20'",
        help="Exit with status 1 if the whole 95 % interval of this is beyond the limit, at any "
        "target or at the one named. Besides components: errors.share, decomposed.share, "
        "throughput_rps, goodput.share, stream.ttft.p95_ms. Repeatable.",
    ),
    click.option(
        "--fail-if-slower",
        type=CHANGE_TEXT,
        multiple=True,
        metavar="'inference.p95 3%'",
        help="Exit with status 1 if this is slower than in --baseline by more than this share; "
        "with two targets, than at the first. Repeatable.",
    ),
    click.option(
        "--baseline",
        type=FILE,
        multiple=True,
        metavar="A.json",
        help="Saved result that --fail-if-slower compares with. Repeatable: several runs.",
    ),
    click.option(
        "--on-inconclusive",
        type=click.Choice(["fail", "pass"]),
        help="How gates count whose interval contains the limit. [default: exit status 3]",
    ),
    click.option(
        "--output-junit",
        type=FILE,
        metavar="F.xml",
        help="Write the gates as JUnit XML, a test case each.",
    ),
)
_NAMES: Final = ("fail_if", "fail_if_slower", "baseline", "on_inconclusive")


@dataclass(frozen=True, slots=True)
class Gating:
    """The gates and baselines that a result is checked against."""

    fail_if: tuple[str, ...] = ()
    fail_if_slower: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    on_inconclusive: Any = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Gating":
        """Read the gate options.

        Raises:
            UsageError: an option lacks another one that it needs.
        """
        asked = cls(**{name: given[name] for name in _NAMES})
        if asked.baseline and not asked.fail_if_slower:
            raise UsageError("--baseline is used by --fail-if-slower: give that too")
        for option, value in (
            ("--output-junit", given["output_junit"]),
            ("--on-inconclusive", asked.on_inconclusive),
        ):
            if value is not None and not asked:
                raise UsageError(f"{option} tells of gates: give --fail-if or --fail-if-slower too")
        return asked

    def __bool__(self) -> bool:
        return bool(self.fail_if or self.fail_if_slower)

    def check(self, targets: Collection[str], *, limited: bool) -> None:
        """Check everything that can be checked before the measurement.

        Args:
            targets: the names of the run's targets.
            limited: whether the run has limits (`--slo`).

        Raises:
            UsageError: a gate or a baseline cannot be read.
        """
        if not self:
            return
        from tracebench.analysis.objectives import gates  # numpy: not for --help

        for text in self.fail_if:
            gates.gate_of(text, targets, limited=limited)
        for text in self.fail_if_slower:
            gates.slower_gate_of(text)
        if self.fail_if_slower and not self.baseline and len(targets) < 2:
            raise UsageError(
                "--fail-if-slower has nothing to compare with: give --baseline A.json, or a second "
                "target"
            )
        before = dict(zip(self.baseline, baselines(self.baseline), strict=True))
        for path, result in before.items():
            _check_baseline(path, result, targets)

    def check_plan(self, planned: Plan) -> None:
        """Check the gates against a plan; see `check`."""
        named = [one.name for one in planned.targets.all]
        self.check(named, limited=planned.objectives.slo is not None)

    def judged(self, result: Result) -> Result:
        """The result with its gates evaluated; without gate options, it keeps those that it had."""
        if not self:
            return result
        from tracebench.analysis.objectives import gates  # numpy: not for --help

        found = gates.judge(
            result,
            [gates.gate_of(text, result.targets) for text in self.fail_if],
            [gates.slower_gate_of(text) for text in self.fail_if_slower],
            self._comparisons(result),
        )
        valid = all(one.verdict.valid for one in result.targets.values())
        decision = gates.overall(found, valid=valid, on_inconclusive=self.on_inconclusive)
        return replace(result, gates=found, decision=decision)

    def _comparisons(self, result: Result) -> Sequence[Comparison]:
        if not self.baseline:
            return [one for one in (result.comparison, *result.comparisons) if one is not None]
        before = dict(zip(self.baseline, baselines(self.baseline), strict=True))
        try:
            return compared(before, {"this run": result})
        except UsageError:
            return []  # nothing succeeded: the gate is broken, but the result is kept


NO_GATES: Final = Gating()


def baselines(paths: Sequence[str]) -> list[Result]:
    """Read saved results.

    Raises:
        UsageError: a file is not a result file.
    """
    from tracebench.report.files import result_file  # not for --help

    return [result_file.loads(read_text("--baseline", path), path) for path in paths]


def _check_baseline(path: str, result: Result, targets: Collection[str]) -> None:
    known = {name: one for name, one in result.targets.items() if name in targets}
    if not known:
        raise UsageError(
            f"--baseline {path!r} has {', '.join(result.targets)}, and the run has "
            f"{', '.join(targets)}: give a result with a target of the same name"
        )
    for name, target in known.items():
        if not target.components:
            raise UsageError(f"--baseline {path!r}: no request to {name} succeeded: measure again")
        if target.blocks is None:
            raise UsageError(
                f"--baseline {path!r}: {name} has no blocks, as an older tracebench wrote it: "
                "measure again"
            )
        if not target.verdict.valid:
            why = ", ".join(f.code for f in target.verdict.findings if f.severity == "invalid")
            raise UsageError(
                f"--baseline {path!r}: the numbers of {name} are not valid ({why}): measure again"
            )


def compared(before: Mapping[str, Result], after: Mapping[str, Result]) -> list[Comparison]:
    """The difference of each target from the target of the same name in earlier runs.

    Args:
        before: path → result of an earlier run.
        after: the same for the runs that must not be slower.

    Raises:
        UsageError: they cannot be compared.
    """
    from tracebench.studies.compare import compare_results  # numpy: not for --help

    found = compare_results(
        [*before.values()], [*after.values()], a_names=[*before], b_names=[*after]
    )
    return [
        Comparison(", ".join(before), name, differences, "; ".join(found.caveats))
        for name, differences in found.differences.items()
    ]


def check_slower(texts: Sequence[str]) -> None:
    """Check gates of comparisons before any file is read.

    Raises:
        UsageError: one cannot be read.
    """
    if texts:
        from tracebench.analysis.objectives import gates  # numpy: not for --help

        for text in texts:
            gates.slower_gate_of(text)


def held_to(found: RunComparison, texts: Sequence[str], results: Sequence[Result]) -> RunComparison:
    """A comparison with its gates, where there are any.

    Args:
        found: the comparison.
        texts: `--fail-if-slower`, as given.
        results: all that were compared; their numbers must be valid.
    """
    if not texts:
        return found
    from tracebench.analysis.objectives import gates  # numpy: not for --help

    valid = all(one.verdict.valid for run in results for one in run.targets.values())
    pairs = [Comparison("A", f"B {name}", one) for name, one in found.differences.items()]
    judged = gates.judge_slower([gates.slower_gate_of(text) for text in texts], pairs, valid=valid)
    return replace(found, gates=judged, decision=gates.overall(judged, valid=valid))


def complain(result: Result) -> None:
    """Report broken gates, once everything is saved.

    Raises:
        UsageError: a gate needs something that the run does not have.
    """
    for gate in result.gates:
        target = result.targets.get(gate.target)
        succeeded = target is None or bool(target.requests.succeeded)
        if gate.decision == "broken" and gate.value is None and succeeded:
            raise UsageError(f"gate {gate.expression!r}: {gate.target}: {gate.why}")
