"""`--grpc-method` without a value: what a gRPC server offers, by its reflection."""

from collections.abc import Mapping
from typing import Any

import click

from tracebench.cli.help.commands import Helpful
from tracebench.cli.options.plan_options import plan
from tracebench.cli.options.target_options import LIST_METHODS
from tracebench.model.errors import UsageError


class Calling(Helpful):
    """A command that calls servers, or lists what can be called."""

    def invoke(self, ctx: click.Context) -> Any:
        """List the methods if `--grpc-method` has no value, else run the command."""
        if ctx.params.get("grpc_method") == LIST_METHODS:
            return show_methods(ctx.params)
        return super().invoke(ctx)


def show_methods(given: Mapping[str, Any]) -> int:
    """Print a line for each method that the gRPC targets offer.

    Raises:
        TracebenchError: there is no gRPC target, or it does not offer reflection.
    """
    from tracebench.load.prepare.rpc import offered  # grpc: not for --help

    planned = plan({**given, "grpc_method": None})
    targets = [one for one in planned.targets.all if one.protocol == "grpc"]
    if not targets:
        raise UsageError("--grpc-method without a method asks a server: give --grpc-server too")
    if planned.calls.proto or planned.calls.descriptor:
        raise UsageError(
            "--grpc-method without a method asks the server: leave out --proto and --descriptor"
        )
    for target in targets:
        methods = offered(planned, target)
        width = max((len(one.name) for one in methods), default=0)
        for one in methods:
            note = "" if one.callable else "  (cannot be measured: it takes a stream)"
            click.echo(f"{one.name:<{width}}  {one.request} → {one.reply}{note}")
        if not methods:
            click.echo(f"{target.address} offers no method but reflection", err=True)
    return 0
