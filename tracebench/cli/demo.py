"""The example server from the command line: `serve` it alone, or measure it with `demo`."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracebench.cli.help.commands import Helpful
from tracebench.cli.options.filling import headed, options
from tracebench.cli.options.load_options import LOADING
from tracebench.cli.options.output_options import DETAIL
from tracebench.cli.output.outputs import Outputs, detail_of
from tracebench.cli.run import measure
from tracebench.model.errors import UsageError
from tracebench.model.plan import (
    Calls,
    Objectives,
    Payload,
    Payloads,
    Plan,
    SpanRoutes,
    Targets,
    Watched,
    Workload,
)

if TYPE_CHECKING:
    from tracebench.example.serve import Addresses

# `tracebench serve`: the example model server alone.

PORT = click.IntRange(0, 65_535)


@click.command(
    cls=Helpful, examples=("tracebench serve", "tracebench serve --llm --rest-port 8000")
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--rest-port",
    type=PORT,
    metavar="PORT",
    default=5000,
    show_default=True,
    help="Port of the REST server; 0: any free port.",
)
@click.option(
    "--grpc-port",
    type=PORT,
    metavar="PORT",
    default=50051,
    show_default=True,
    help="Port of the gRPC server; 0: any free port.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads of each server. [default: 4; with --llm: 64]",
)
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    metavar="N",
    help="Inferences at once; with --llm, streams at once. [default: no limit; with --llm: 8]",
)
@click.option("--llm", is_flag=True, help="Serve a small language model, not the image classifier.")
@click.option(
    "--prefix-cache", is_flag=True, help="With --llm: reuse the common beginnings of prompts."
)
@click.option("--otlp-endpoint", metavar="URL", help="Export spans to this OTLP endpoint.")
def serve(**given: Any) -> int:
    """Serve EfficientNet-Lite0, or a language model, over REST and gRPC until interrupted.

    The language model speaks OpenAI's interface: /v1/completions, /v1/chat/completions. Its weights
    are random: what it says is nonsense, and what it costs is real.
    """
    if given["prefix_cache"] and not given["llm"]:
        raise UsageError("--prefix-cache is for language models: add --llm")
    from tracebench.example.serve import serve_forever  # the extra `example` is needed only here

    serve_forever(**given)
    return 0


# `tracebench demo`: measure the example server over both protocols, and save everything.

FOLDER = Path("tracebench-demo")


AMOUNT = headed(
    LOADING,
    click.option(
        "--requests",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of requests to each server. [default: 200; with --llm: 100]",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="N",
        help="Requests in flight at once. [default: 1; with --llm: 4]",
    ),
    click.option("--llm", is_flag=True, help="Measure a small language model, token by token."),
)


@click.command(cls=Helpful, examples=("tracebench demo", "tracebench demo --llm"))
@options(AMOUNT, DETAIL)
def demo(
    *, requests: int | None, concurrency: int | None, llm: bool, verbose: bool, quiet: bool
) -> int:
    """Start the example server, measure it over REST and gRPC, and save everything.

    ./tracebench-demo/ then has the result, a page that explains all of it, the plot, the answer as
    Markdown, the traces, and a table of all requests.
    """
    from tracebench.example.serve import spawned  # the extra `example` is needed only here

    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot create ./{FOLDER} ({error.strerror}): run it from another directory"
        ) from None
    outputs = Outputs(
        json=str(FOLDER / "result.json"),
        plot=str(FOLDER / "plot.png"),
        traces=str(FOLDER / "traces.jsonl"),
        markdown=str(FOLDER / "answer.md"),
        detail=detail_of(verbose, quiet),
        html=str(FOLDER / "page.html"),
        samples=str(FOLDER / "samples.csv"),
    )
    outputs.check()
    with spawned(llm=llm) as server:
        planned = _language(server) if llm else _pictures(server)
        slots = concurrency or planned.load.concurrency
        load = replace(
            planned.load,
            requests=requests or planned.load.requests,
            concurrency=slots,
            warmup=max(planned.load.warmup_requests, 2 * slots),
        )
        traces = SpanRoutes(output_traces=outputs.traces)
        status = measure(replace(planned, load=load, traces=traces), outputs)
    if not quiet:
        click.echo(_next(llm=llm), err=True)
    return status


def _next(*, llm: bool) -> str:
    """How to go on with a server of one's own."""
    send = "--llm MODEL" if llm else "--image photo.jpg"
    url = "http://127.0.0.1:8000" + ("" if llm else "/predict")
    return (
        f"\nEverything is explained in {FOLDER / 'page.html'}: open it, or send it.\n"
        "Next, your own server:\n"
        f"  {_program()} run {send} --rest-url {url}\n"
        f"  {_program()} run --help    (other requests, other loads)\n"
        "How to see inside it, and to compare two versions of it: docs/first-steps.md"
    )


def _program() -> str:
    """How to call tracebench from here: by its name only if the shell finds this very program."""
    called = Path(sys.argv[0])
    if called.name != "tracebench":
        return "python -m tracebench"
    found = shutil.which("tracebench")
    if found is not None and Path(found).resolve() == called.resolve():
        return "tracebench"
    return os.path.relpath(called)


def _pictures(server: "Addresses") -> Plan:
    """One picture, over both protocols."""
    from tracebench.example import picture  # the extra `example` is needed only here

    return Plan(
        Payloads(Payload(picture(), "image/png", "coffee.png", "image")),
        Targets(server.rest_url, server.grpc_server),
        load=Workload(requests=200, warmup=10),
    )


def _language(server: "Addresses") -> Plan:
    """Prompts of 256 tokens and answers of 64; the same JSON for both protocols."""
    from tracebench.example.language import questions  # the extra `example` is needed only here

    return Plan(
        Payloads(
            tuple(
                Payload(content, "application/json", f"{number}.json", "json")
                for number, content in enumerate(questions.questions())
            )
        ),
        Targets(f"{server.rest_url}{questions.ROUTE}", server.grpc_server),
        calls=Calls(grpc_method=questions.METHOD),
        load=Workload(requests=100, concurrency=4, warmup=4),
        objectives=Objectives("ttft < 500ms, tpot < 25ms"),
        gauges=Watched(f"{server.rest_url}/metrics"),
    )
