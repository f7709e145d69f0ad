"""Gates as JUnit XML, which most CI systems display: one test case per gate and target."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tracebench.model.objectives import GateResult
from tracebench.model.results.result import Result
from tracebench.report.answer.gate_lines import in_unit, last_line, measured
from tracebench.system.output_files import replaced

_OUTCOMES = {"failed": "failure", "inconclusive": "error", "broken": "error"}


def write(result: Result, path: str) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
    """
    with replaced(path) as file:
        file.write(dumps(result))


def dumps(result: Result) -> bytes:
    """The gates as XML; inconclusive ones count as the run's decision (`--on-inconclusive`)."""
    suite = Element("testsuite", name="tracebench", timestamp=result.started_at)
    outcomes = [_case(suite, gate, result) for gate in result.gates]
    suite.set("tests", str(len(result.gates)))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(outcomes.count(kind)))
    SubElement(suite, "system-out").text = last_line(result)
    indent(suite)
    return bytes(tostring(suite, "utf-8", xml_declaration=True)) + b"\n"


def _case(suite: Element, gate: GateResult, result: Result) -> str:
    duration_s = sum(
        one.duration_s for name, one in result.targets.items() if name in gate.target.split()
    )
    case = SubElement(
        suite,
        "testcase",
        classname=f"tracebench.{gate.target}",
        name=gate.expression,
        time=f"{duration_s:.3f}",
    )
    kind = _OUTCOMES.get(gate.decision, "")
    if gate.decision == "inconclusive" and result.decision == "passed":
        kind = "skipped"
    if gate.decision == "inconclusive" and result.decision == "failed":
        others = any(one.decision == "failed" for one in result.gates)
        kind = "error" if others else "failure"  # it alone fails the run
    if kind:
        limit = in_unit(gate.limit, gate.unit)
        said = f"{gate.decision}: {measured(gate)}, limit {limit}"
        told = SubElement(case, kind, message=said, type=gate.decision)
        told.text = gate.why or None
    return kind
