"""`tracebench serve`: the example model server alone."""

from typing import Any

import click

PORT = click.IntRange(0, 65_535)


@click.command(short_help="Run the example model server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--rest-port", type=PORT, default=5000, show_default=True, help="0: any free one.")
@click.option("--grpc-port", type=PORT, default=50051, show_default=True, help="0: any free one.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=4, show_default=True, help="Of each server."
)
@click.option("--instances", type=click.IntRange(min=1), help="Of the model. [default: no limit]")
@click.option("--otlp-endpoint", metavar="URL", help="Send the server's spans there.")
def serve(**given: Any) -> int:
    """Serve EfficientNet-Lite0 over REST and gRPC, until interrupted."""
    from tracebench.example.serve import serve_forever  # the extra `example` is needed only here

    serve_forever(**given)
    return 0
