"""The options that measure the tool's own influence."""

import click

CLIENTS = ("requests", "httpx", "aiohttp", "grpcio", "grpc.aio")

INFLUENCE = (
    click.option("--floor", is_flag=True, help="Also measure a server that does nothing."),
    click.option(
        "--observer-effect",
        is_flag=True,
        help="Draw for each request whether to ask for tracing: what does tracing cost?",
    ),
    click.option(
        "--client",
        "clients",
        type=click.Choice(CLIENTS),
        multiple=True,
        help="Also send by this library, by turns with the engine: what it costs. Repeatable; "
        "not with --observer-effect.",
    ),
)
