"""The example server from the command line: `serve` it alone, or measure it with `demo`."""

from pathlib import Path
from typing import Any

import click

from tracebench.cli.outputs import Outputs
from tracebench.cli.run import measure
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload, Payloads, Plan, SpanRoutes, Targets, Workload

# `tracebench serve`: the example model server alone.

PORT = click.IntRange(0, 65_535)


@click.command(short_help="Run the example model server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--rest-port", type=PORT, default=5000, show_default=True, help="0: any free port.")
@click.option("--grpc-port", type=PORT, default=50051, show_default=True, help="0: any free port.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Threads of each server.",
)
@click.option(
    "--instances", type=click.IntRange(min=1), help="Inferences at once. [default: no limit]"
)
@click.option("--otlp-endpoint", metavar="URL", help="Export spans to this OTLP endpoint.")
def serve(**given: Any) -> int:
    """Serve EfficientNet-Lite0 over REST and gRPC until interrupted."""
    from tracebench.example.serve import serve_forever  # the extra `example` is needed only here

    serve_forever(**given)
    return 0


# `tracebench demo`: measure the example server over both protocols, and save everything.

FOLDER = Path("tracebench-demo")


@click.command(short_help="Measure the example server over both protocols.")
@click.option("--requests", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True)
def demo(*, requests: int, concurrency: int) -> int:
    """Start the example server, measure it over REST and gRPC, and save everything.

    The result, the plot, the traces and a page that explains all of it are saved in
    ./tracebench-demo/.
    """
    from tracebench.example import picture  # the extra `example` is needed only here
    from tracebench.example.serve import spawned  # as above

    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot create ./{FOLDER} ({error.strerror}): run it from another directory"
        ) from None
    names = ("result.json", "plot.png", "traces.jsonl", "page.html")
    outputs = Outputs(*(str(FOLDER / name) for name in names))
    outputs.check()
    with spawned() as server:
        planned = Plan(
            Payloads(Payload(picture(), "image/png", "coffee.png", "image")),
            Targets(server.rest_url, server.grpc_server),
            load=Workload(
                requests=requests, concurrency=concurrency, warmup=max(10, 2 * concurrency)
            ),
            traces=SpanRoutes(output_traces=outputs.traces),
        )
        return measure(planned, outputs)
