"""`tracebench demo`: the example server, measured over both protocols, everything saved."""

from pathlib import Path

import click

from tracebench.cli.outputs import Outputs
from tracebench.cli.run import measure
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload, Plan

FOLDER = Path("tracebench-demo")


@click.command(short_help="See it work: example server, both protocols.")
@click.option("--requests", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True)
def demo(*, requests: int, concurrency: int) -> int:
    """Start the example server, benchmark it over REST and gRPC, and save everything.

    The result, the plot and the traces go to ./tracebench-demo/.
    """
    from tracebench.example import picture  # the extra `example` is needed only here
    from tracebench.example.serve import spawned  # as above

    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make ./{FOLDER} ({error.strerror}): change the folder") from None
    names = ("result.json", "plot.png", "traces.jsonl")
    outputs = Outputs(*(str(FOLDER / name) for name in names))
    outputs.check()
    with spawned() as server:
        planned = Plan(
            payload=Payload(picture(), "image/png", "coffee.png", "image"),
            rest_url=server.rest_url,
            grpc_server=server.grpc_server,
            requests=requests,
            concurrency=concurrency,
            warmup=max(10, 2 * concurrency),
            output_traces=outputs.traces,
        )
        return measure(planned, outputs)
