"""The options for reading the server's own gauges during the load."""

from tracebench.cli.options.filling import SERVER, fills, headed
from tracebench.model.plan import Watched

GAUGES = headed(
    SERVER,
    fills(
        Watched,
        "--metrics-url",
        metavar="URL",
        help="Read the server's gauges from this page (Prometheus's text format) once a second: "
        "running, waiting, KV cache use. Known: vLLM, SGLang, Triton, llama.cpp.",
    ),
    fills(
        Watched,
        "--metric",
        field="metrics",
        metavar="NAME",
        multiple=True,
        help="Also read this metric from --metrics-url, e.g. 'queue_length{model=\"m\"}'. "
        "Repeatable.",
    ),
)
