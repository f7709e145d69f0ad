"""The libraries that can be compared with the engine."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple

from tracebench.load.engine.pacing import is_open
from tracebench.load.peers.job import Job, Sample
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan

Send = Callable[[Job], list[Sample]]


class Library(NamedTuple):
    """One library, and one way in which people use it."""

    target: str
    """What it speaks to: `rest` or `grpc`."""
    package: str
    """What pip installs."""
    module: str
    send: str = "send"


_HERE: Final = "tracebench.load.peers"
LIBRARIES: Final = {
    "requests": Library("rest", "requests", f"{_HERE}.by_requests"),
    "httpx": Library("rest", "httpx", f"{_HERE}.by_httpx"),
    "aiohttp": Library("rest", "aiohttp", f"{_HERE}.by_aiohttp"),
    "grpcio": Library("grpc", "grpcio", f"{_HERE}.by_grpcio"),
    "grpc.aio": Library("grpc", "grpcio", f"{_HERE}.by_grpcio", "send_aio"),
}


def load(plan: Plan) -> dict[str, dict[str, Send]]:
    """The libraries that a plan asks for, by target.

    Raises:
        UsageError: one is not installed, or cannot do what the plan asks for.
    """
    found: dict[str, dict[str, Send]] = {"rest": {}, "grpc": {}}
    for name in plan.clients:
        library = LIBRARIES[name]
        _check(name, library, plan)
        try:
            module = import_module(library.module)
        except ImportError as error:
            raise UsageError(
                f"--client {name} needs {error.name}: pip install {library.package}"
            ) from None
        found[library.target][name] = getattr(module, library.send)
    return found


def _check(name: str, library: Library, plan: Plan) -> None:
    if plan.observer_effect:
        raise UsageError(f"--client {name} and --observer-effect exclude each other: run twice")
    if is_open(plan):
        raise UsageError(f"--client {name} keeps a closed loop: leave --rate and --arrivals out")
    is_rest = library.target == "rest"
    if (plan.rest_url if is_rest else plan.grpc_server) is None:
        option = "--rest-url" if is_rest else "--grpc-server"
        raise UsageError(f"--client {name} sends to {option}: give that as well")
    if plan.insecure and not is_rest and (plan.grpc_server or "").startswith("grpcs://"):
        raise UsageError(f"--client {name} cannot be told --insecure: give --cacert instead")
