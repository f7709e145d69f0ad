"""The options of the API, as types: written by `make python-options`."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict


class Shared(TypedDict, total=False):
    """What all of them take."""

    rest_url: str | None
    """REST target; the path defaults to /predict. For a Unix socket:
    http+unix://%2Fpath%2Fof.sock/route or unix:/path/of.sock:/route."""
    grpc_server: str | None
    """gRPC target. For a Unix socket: unix:/path/of.sock."""
    target: str | Sequence[str] | Mapping[str, str] | None
    """Another target, http(s):// or grpc(s)://, under a name of its own. Repeatable: several
    targets are compared, in alternating blocks of requests."""
    sequential: bool
    """Measure several targets one after the other, not in alternating blocks."""
    image: str | PathLike[str] | bytes | None
    """Image to send, or a folder of images."""
    data: str | PathLike[str] | bytes | None
    """File to send unchanged, or a folder of files."""
    json: str | PathLike[str] | Mapping[str, object] | list[object] | None
    """JSON file to send, or a folder of JSON files."""
    payloads: str | PathLike[str] | Sequence[object] | None
    """Requests to send: one JSON a line."""
    order: Literal["rotate", "random"] | None
    """Order in which several payloads are sent."""
    content_type: str | None
    """Content type of --data or --image. [default: guessed from the file's name]"""
    method: str | None
    """HTTP method of REST requests."""
    field: str | None
    """Form field that carries --image over REST."""
    header: str | Sequence[str] | Mapping[str, str] | None
    """Extra header, or metadata over gRPC. Repeatable."""
    seed: int | None
    """Seed for random choices."""
    warmup: int | Literal["auto"] | None
    """Requests to send first and not count; auto: trim the start of the run."""
    ramp_up: float | str | None
    """Closed loop: start the --concurrency users one after the other over this time, which does not
    count, instead of all at once."""
    hang_up_after: str | None
    """Stop listening to a stream after so many tokens or so long, in this share of the requests.
    [default share: 1]"""
    timeout: float | str | None
    """Time-out of each request; of a reply that streams, of each gap in it."""
    connections: int | None
    """Connections that gRPC requests share. [default: one per request in flight]"""
    bind: str | Sequence[str] | None
    """Connect from these addresses of this machine in turn: each has its own ports for connections.
    Repeatable."""
    processes: int | None
    """Let N processes share the load, past what one core can send. [default: 1; with --cluster: one
    per worker]"""
    cluster: str | None
    """Let the workers of this Dask scheduler share the load, as in tcp://10.0.0.1:8786."""
    label: str | None
    """Name this run: in the heading, the result file and the Markdown."""
    expect_status: str | Sequence[str] | None
    """Count only these statuses as success."""
    expect_json: str | Sequence[str] | None
    """Count only replies with this field as success, e.g. 'predictions[0].label=cat'. Over REST,
    only the first KB of a reply is searched."""
    oip: str | None
    """Call this model by the Open Inference Protocol v2 (Triton, KServe, MLServer)."""
    grpc_method: str | None
    """gRPC method to call with --json. Without a value: list the methods that --grpc-server offers
    by reflection, and end."""
    proto: str | PathLike[str] | None
    """File that defines --grpc-method. [default: ask the server by reflection]"""
    proto_path: str | PathLike[str] | Sequence[str | PathLike[str]] | None
    """Folder with the imports of --proto. Repeatable."""
    descriptor: str | PathLike[str] | None
    """FileDescriptorSet that defines --grpc-method, as protoc writes it."""
    llm: str | None
    """Send prompts to this model over the OpenAI interface at --rest-url: chat completions, or
    completions if the URL ends so."""
    input_tokens: float | str | None
    """Length of a whole prompt, as the server counts. [default: 256]"""
    output_tokens: float | str | None
    """Length of an answer. [default: as in --prompts, else 128]"""
    prefix_tokens: int | None
    """Let all prompts of a run begin with the same N tokens."""
    prompts: str | PathLike[str] | None
    """Prompts to send in order: lines of text or JSON, ShareGPT's form, or a Mooncake trace, whose
    times are kept unless --rate or --arrivals says otherwise."""
    reuse_prompts: bool
    """Send the same prompts in each run, so that the server may have them in its cache."""
    tokenizer: str | PathLike[str] | None
    """A tokenizer.json that counts tokens. [default: the server's usage]"""
    extra_body: str | None
    """More fields of each request, e.g. '{"temperature": 0}'."""
    turns: int | None
    """Send conversations of N requests, each with all that was said before; --concurrency is the
    number of users."""
    think_time: float | str | None
    """How long a user thinks between an answer and the next turn."""
    api_key: str | None
    """Sent as a bearer token, and never shown. [default: $OPENAI_API_KEY]"""
    stream: bool | None
    """With --llm: ask for streams. [default: --stream] With --oip over gRPC: call ModelStreamInfer.
    Other streams are noticed."""
    stream_timeout: float | str | None
    """Time-out of a whole streamed reply; --timeout then limits the wait for its first event, and
    each gap. [default: none]"""
    token_path: str | None
    """Where an event has its token, e.g. 'result.text'. [default: known forms; else each event is a
    token]"""
    map: str | Sequence[str] | Mapping[str, str] | None
    """Map spans to a component, e.g. 'inference=forward*'. Repeatable."""
    mapping: str | PathLike[str] | None
    """File of rules that map spans to components (docs/mapping.md)."""
    receive_otlp: bool | str | None
    """Receive the server's spans: OTLP over gRPC at PORT, over HTTP at PORT + 1. [without
    HOST:PORT: 127.0.0.1:4317]"""
    forward_otlp: str | None
    """Forward the spans that --receive-otlp takes."""
    output_traces: str | PathLike[str] | None
    """Write all spans as OTLP JSON lines."""
    otlp_endpoint: str | None
    """Also export all spans to this URL, and the run's own metrics while it runs."""
    otlp_metrics: bool | None
    """Whether --otlp-endpoint gets the metrics: requests, latency, errors, once a second. [default:
    --otlp-metrics]"""
    trace_share: float | str | None
    """Ask for the trace of only this share of the requests, drawn at random, where all would be too
    many. Timings in replies still come for all. [default: 100%]"""
    jaeger: str | None
    """Read the server's spans back from this Jaeger."""
    trace_ui: str | None
    """Base URL of links to traces. [default: --jaeger]"""
    cacert: str | PathLike[str] | None
    """CA certificates to trust, instead of the system's (PEM)."""
    cert: str | PathLike[str] | None
    """Client certificate to present (PEM)."""
    key: str | PathLike[str] | None
    """Private key of --cert (PEM). [default: in --cert]"""
    insecure: bool
    """Accept any certificate of the server."""


class RunOptions(Shared, total=False):
    """The options of `run`."""

    requests: int | None
    """Number of requests. [default: 100; sweep: 5 s per step]"""
    duration: float | str | None
    """Run for this long (30, 30s, 2m) instead of a fixed number of requests."""
    until_stable: str | None
    """Stop once this statistic is known to within this share; --requests or --duration still bound
    the run. [default bound: 300 s]"""
    concurrency: int | None
    """Requests in flight at once; with --rate or --arrivals, the upper limit. [default: 1; with
    --rate or --arrivals: 256]"""
    rate: float | str | None
    """Requests per second: constant (100), a ramp (10:200/60s), or steps (10/9s,50/9s)."""
    arrivals: str | PathLike[str] | None
    """File of times at which to send: seconds, one a line."""
    arrival: str | None
    """Spacing of requests under --rate. gamma:K comes in bursts with K below 1, and more evenly
    than poisson with K above."""
    slo: str | None
    """Limits of each request, comma-separated: METRIC < VALUE, where METRIC is latency, a
    component, or ttft, tpot, … of a stream. Reports the share and the rate of requests that meet
    them all (goodput)."""
    fail_if: str | Sequence[str] | None
    """Exit with status 1 if the whole 95 % interval of this is beyond the limit, at any target or
    at the one named. Besides components: errors.share, decomposed.share, throughput_rps,
    goodput.share, stream.ttft.p95_ms. Repeatable."""
    fail_if_slower: str | Sequence[str] | None
    """Exit with status 1 if this is slower than in --baseline by more than this share; with two
    targets, than at the first. Repeatable."""
    baseline: str | PathLike[str] | Sequence[str | PathLike[str]] | None
    """Saved result that --fail-if-slower compares with. Repeatable: several runs."""
    on_inconclusive: Literal["fail", "pass"] | None
    """How gates count whose interval contains the limit. [default: exit status 3]"""
    metrics_url: str | None
    """Read the server's gauges from this page (Prometheus's text format) once a second: running,
    waiting, KV cache use. Known: vLLM, SGLang, Triton, llama.cpp."""
    metric: str | Sequence[str] | None
    """Also read this metric from --metrics-url, e.g. 'queue_length{model="m"}'. Repeatable."""
    floor: bool
    """Also measure the same exchange against a server that does nothing."""
    observer_effect: bool
    """Ask for tracing in a random half of the requests, to measure what tracing costs."""
    client: (
        Literal["aiohttp", "grpc.aio", "grpcio", "httpx", "requests"]
        | Sequence[Literal["aiohttp", "grpc.aio", "grpcio", "httpx", "requests"]]
        | None
    )
    """Also send through this library, alternating with the engine, to measure what it costs.
    Repeatable; not with --observer-effect."""


class SweepOptions(Shared, total=False):
    """The options of `sweep`."""

    concurrency: Sequence[float] | float | Literal["auto"] | None
    """Requests in flight at each step; with --rate, the upper limit. [default: auto]"""
    rate: Sequence[float] | float | Literal["auto"] | None
    """Step through these request rates (per second), not through concurrencies."""
    requests: int | None
    """Number of requests. [default: 100; sweep: 5 s per step]"""
    duration: float | str | None
    """Run for this long (30, 30s, 2m) instead of a fixed number of requests."""
    until_stable: str | None
    """Stop once this statistic is known to within this share; --requests or --duration still bound
    the run. [default bound: 300 s]"""
    arrival: str | None
    """Spacing of requests under --rate. gamma:K comes in bursts with K below 1, and more evenly
    than poisson with K above."""
    slo: str | None
    """What a load must meet: METRIC.PERCENTILE < VALUE, or limits for each request (METRIC <
    VALUE), to be met by the share of requests given by --goodput."""
    goodput: float | None
    """The share of requests that must meet the limits of --slo."""
    metrics_url: str | None
    """Read the server's gauges from this page (Prometheus's text format) once a second: running,
    waiting, KV cache use. Known: vLLM, SGLang, Triton, llama.cpp."""
    metric: str | Sequence[str] | None
    """Also read this metric from --metrics-url, e.g. 'queue_length{model="m"}'. Repeatable."""
    floor: bool
    """Also measure the same exchange against a server that does nothing."""
    observer_effect: bool
    """Ask for tracing in a random half of the requests, to measure what tracing costs."""
    client: (
        Literal["aiohttp", "grpc.aio", "grpcio", "httpx", "requests"]
        | Sequence[Literal["aiohttp", "grpc.aio", "grpcio", "httpx", "requests"]]
        | None
    )
    """Also send through this library, alternating with the engine, to measure what it costs.
    Repeatable; not with --observer-effect."""


class SearchOptions(Shared, total=False):
    """The options of `search`."""

    slo: str | None
    """What a load must meet: METRIC.PERCENTILE < VALUE, or limits for each request (METRIC <
    VALUE), to be met by the share of requests given by --goodput."""
    goodput: float | None
    """The share of requests that must meet the limits of --slo."""
    by: Literal["rate", "concurrency"] | None
    """What to raise: requests per second, or requests in flight."""
    from_: float | None
    """The least load of interest, where doubling begins. [default: 10/s, or 1 in flight; below that
    if it is too much]"""
    to: float | None
    """The highest load to try."""
    budget: float | str | None
    """How long the search may take. The longer, the closer to the limit it can prove."""
    arrival: str | None
    """Spacing of requests. Poisson: at random, as those of many independent users; gamma:K with K
    below 1: in bursts."""
    concurrency: int | None
    """Upper limit of requests in flight. [default: 256]"""


class AnalyzeOptions(TypedDict, total=False):
    """The options of `analyze`."""

    label: str | None
    """Name this run: in the heading, the result file and the Markdown."""
    map: str | Sequence[str] | Mapping[str, str] | None
    """Map spans to a component, e.g. 'inference=forward*'. Repeatable."""
    mapping: str | PathLike[str] | None
    """File of rules that map spans to components (docs/mapping.md)."""
    fail_if: str | Sequence[str] | None
    """Exit with status 1 if the whole 95 % interval of this is beyond the limit, at any target or
    at the one named. Besides components: errors.share, decomposed.share, throughput_rps,
    goodput.share, stream.ttft.p95_ms. Repeatable."""
    fail_if_slower: str | Sequence[str] | None
    """Exit with status 1 if this is slower than in --baseline by more than this share; with two
    targets, than at the first. Repeatable."""
    baseline: str | PathLike[str] | Sequence[str | PathLike[str]] | None
    """Saved result that --fail-if-slower compares with. Repeatable: several runs."""
    on_inconclusive: Literal["fail", "pass"] | None
    """How gates count whose interval contains the limit. [default: exit status 3]"""
