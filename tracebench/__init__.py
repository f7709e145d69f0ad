"""Where does the time of a request go? A tracing benchmark for REST and gRPC model servers.

    import tracebench
    result = tracebench.run(rest_url="http://127.0.0.1:5000", image="photo.jpg")

What is public is in `tracebench.api` (docs/python.md), and is imported when it is first used:
neither `--help` nor the server that does nothing must pay for numpy. Type checkers and editors
read `__init__.pyi`.
"""

from importlib import import_module

__version__ = "1.0.0"
__all__ = [
    "ComparisonResult",
    "Progress",
    "RunResult",
    "SearchResult",
    "SweepResult",
    "TargetError",
    "TracebenchError",
    "UsageError",
    "__version__",
    "analyze",
    "compare",
    "read",
    "run",
    "search",
    "sweep",
]


def __getattr__(name: str) -> object:
    """Import what is public when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'tracebench' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("tracebench.api"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
