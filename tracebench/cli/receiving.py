"""The options of the OTLP receiver."""

import click

from tracebench.model.plan import Plan
from tracebench.tracing.receiver.bind import DEFAULT, bind_of

RECEIVE = (
    click.option(
        "--receive-otlp",
        is_flag=False,
        flag_value=DEFAULT,
        metavar="[HOST:PORT]",
        help=f"Take the server's spans over gRPC, over HTTP at PORT + 1. [default: {DEFAULT}]",
    ),
    click.option("--forward-otlp", metavar="URL", help="Pass on what --receive-otlp takes."),
)


def warn_of_strangers(planned: Plan) -> None:
    """Say where others than this machine can send spans, too.

    Raises:
        UsageError: what is to be bound is no address.
    """
    if planned.receive_otlp is None or bind_of(planned.receive_otlp).is_loopback:
        return
    click.echo(
        f"warning: whoever reaches {planned.receive_otlp} can send spans to this run: there is no "
        "authentication, so let a firewall admit the server alone",
        err=True,
    )
