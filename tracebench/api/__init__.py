"""The Python API: what `import tracebench` offers. See docs/python.md."""

from tracebench.api.calls import analyze, compare, read, run, search, sweep
from tracebench.api.results import ComparisonResult, RunResult, SearchResult, SweepResult
from tracebench.model.errors import TargetError, TracebenchError, UsageError
from tracebench.model.progress import Progress

__all__ = [
    "ComparisonResult",
    "Progress",
    "RunResult",
    "SearchResult",
    "SweepResult",
    "TargetError",
    "TracebenchError",
    "UsageError",
    "analyze",
    "compare",
    "read",
    "run",
    "search",
    "sweep",
]
