from tracebench.api import ComparisonResult as ComparisonResult
from tracebench.api import Progress as Progress
from tracebench.api import RunResult as RunResult
from tracebench.api import SearchResult as SearchResult
from tracebench.api import SweepResult as SweepResult
from tracebench.api import TargetError as TargetError
from tracebench.api import TracebenchError as TracebenchError
from tracebench.api import UsageError as UsageError
from tracebench.api import analyze as analyze
from tracebench.api import compare as compare
from tracebench.api import read as read
from tracebench.api import run as run
from tracebench.api import search as search
from tracebench.api import sweep as sweep

__version__: str
