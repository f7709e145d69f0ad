"""References for the tool's own influence: a null server, and client libraries.

Each library has one module, named `by_` plus the value of `--client`, which is its package's name.
The module's `TARGET` is the kind of target it supports, `rest` or `grpc`, and `send(job)` sends a
block.
"""

from pkgutil import iter_modules
from typing import Final

_ONE_LIBRARY: Final = "by_"

CLIENTS: Final = tuple(
    name.removeprefix(_ONE_LIBRARY).replace("_", ".")
    for _, name, _ in iter_modules(__path__)
    if name.startswith(_ONE_LIBRARY)
)
"""All libraries, found without importing them: most need not be installed."""


def module_of(client: str) -> str:
    """The name of a library's module."""
    return f"{__name__}.{_ONE_LIBRARY}{client.replace('.', '_')}"
