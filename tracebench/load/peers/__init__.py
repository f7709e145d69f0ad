"""What the tool's own influence is measured against: a null server, and client libraries.

A library is one module, `by_` and the name that `--client` takes, which is what pip installs. It
says in `TARGET` what it speaks to, `rest` or `grpc`, and sends a block with `send(job)`.
"""

from pkgutil import iter_modules
from typing import Final

_ONE_LIBRARY: Final = "by_"

CLIENTS: Final = tuple(
    name.removeprefix(_ONE_LIBRARY).replace("_", ".")
    for _, name, _ in iter_modules(__path__)
    if name.startswith(_ONE_LIBRARY)
)
"""All of them, found without an import: most need not be installed."""


def module_of(client: str) -> str:
    """The name of a library's module."""
    return f"{__name__}.{_ONE_LIBRARY}{client.replace('.', '_')}"
