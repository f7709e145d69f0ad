"""What to measure, and how."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal, TypeAlias

Arrival: TypeAlias = str
"""How requests are spaced: `constant`, `poisson`, or `gamma:K`, where K is the shape of the gaps'
gamma distribution: 1 is Poisson, less comes in bursts, more is more even."""
GAMMA: Final = "gamma:"
"""What the last of these begins with."""
Protocol: TypeAlias = Literal["rest", "grpc"]
Order: TypeAlias = Literal["rotate", "random"]


@dataclass(frozen=True, slots=True)
class Payload:
    """What each request carries."""

    content: bytes
    content_type: str
    name: str
    form: Literal["image", "data", "json"]
    """How it is sent. REST: `image` as a multipart field, `data` as the raw body, `json` as a JSON
    body. gRPC: `image` and `data` as `image_data`, `json` as the JSON mapping of the message."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A period in which the rate changes linearly from one value to another."""

    from_rps: float
    to_rps: float
    duration_s: float
    """Infinite if it is the last segment and has no duration of its own."""


@dataclass(frozen=True, slots=True)
class Stability:
    """The precision required of a latency statistic (`--until-stable`)."""

    statistic: str
    """Name of the statistic: `mean_ms`, `p50_ms`, …."""
    share: float
    """Largest distance of either end of the 95 % interval from the value, as a fraction of it."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """The payloads of the requests, and the order in which they are sent."""

    payload: Payload | tuple[Payload, ...] = ()
    """Several are sent in `order`; empty with `oip`: generate one from the model's metadata."""
    order: Order = "rotate"
    """The order in which several payloads are sent."""

    @property
    def all(self) -> tuple[Payload, ...]:
        """All payloads as a tuple."""
        return self.payload if isinstance(self.payload, tuple) else (self.payload,)


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure."""

    name: str
    """Its name in the result: letters, digits, `_` and `-`."""
    protocol: Protocol
    address: str
    """REST: an http(s) or Unix socket URL; gRPC: `[grpc(s)://]HOST:PORT` or `unix:/path`."""
    option: str
    """The command-line option that named it, for messages."""


REST: Final = "rest"
GRPC: Final = "grpc"
"""The names of the targets of `--rest-url` and `--grpc-server`."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The servers to measure, and whether their measurements alternate."""

    rest_url: str | None = None
    grpc_server: str | None = None
    named: tuple[Target, ...] = ()
    """Additional targets, from `--target`."""
    sequential: bool = False
    """Measure several targets one after the other instead of in alternating blocks."""

    @property
    def all(self) -> tuple[Target, ...]:
        """All targets, in the order in which they are reported."""
        usual = []
        if self.rest_url is not None:
            usual.append(Target(REST, "rest", self.rest_url, "--rest-url"))
        if self.grpc_server is not None:
            usual.append(Target(GRPC, "grpc", self.grpc_server, "--grpc-server"))
        return (*usual, *self.named)

    def first(self, protocol: Protocol) -> Target:
        """The first target that uses the protocol.

        Raises:
            StopIteration: there is none.
        """
        return next(one for one in self.all if one.protocol == protocol)

    @property
    def protocols(self) -> frozenset[Protocol]:
        """The protocols in use."""
        return frozenset(one.protocol for one in self.all)


@dataclass(frozen=True, slots=True)
class Calls:
    """The endpoint or gRPC method that requests call, and how."""

    oip: str | None = None
    """Name of the model to call by the Open Inference Protocol v2; None: another interface."""
    grpc_method: str | None = None
    """`package.Service/Method`; None: `inference.InferenceService/Predict`."""
    proto: str | None = None
    """A .proto file that describes the method; if `descriptor` is None too, use reflection."""
    proto_path: tuple[str, ...] = ()
    descriptor: str | None = None
    """A file with a FileDescriptorSet that describes the method."""
    method: str = "POST"
    field: str = "image"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """Trusted certificates, and the client's own certificate."""

    cacert: str | None = None
    insecure: bool = False
    cert: str | None = None
    """A PEM file with the client's certificate and its chain."""
    key: str | None = None
    """A PEM file with the client's private key; None: `cert` contains it."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """When clients stop listening to a stream, and how many of them do; one limit is given."""

    tokens: int | None = None
    """After so many tokens."""
    after_s: float | None = None
    """After this long, counted from when the request was sent."""
    share: float = 1.0
    """The fraction of the requests that are hung up, chosen at random."""

    def __str__(self) -> str:
        """The limit in words."""
        if self.tokens is not None:
            return f"{self.tokens:,} token" + "s" * (self.tokens != 1)
        return f"{self.after_s:g} s"


@dataclass(frozen=True, slots=True)
class Workload:
    """How much is sent, how fast, and for how long."""

    requests: int | None = 100
    """Requests to measure for each target; None: as many as fit in `duration_s`."""
    duration_s: float | None = None
    until_stable: Stability | None = None
    """End the run once the latency is known this precisely; the bounds above still apply."""
    concurrency: int = 1
    """Largest number of requests in flight at once."""
    rate: tuple[Segment, ...] | None = None
    """Open loop: requests due per second. None: `schedule_s` if set, else closed loop."""
    arrival: Arrival = "constant"
    ramp_up_s: float | None = None
    """Closed loop: let the slots start one after the other, evenly over this time, which does not
    count."""
    schedule_s: tuple[float, ...] | None = None
    """Open loop: when each request is due, in s from the start."""
    seed: int = 0
    """Seed for random choices other than trace ids."""
    warmup: int | Literal["auto"] = 0
    """Requests sent before those that count; `auto`: MSER-5 trims the start of the run."""
    timeout_s: float = 30.0
    hang_up_after: HangUp | None = None
    """When clients stop listening to a stream; None: they listen to the end."""
    connections: int | None = None
    """HTTP/2 connections shared by the slots; None: one per slot, so that every stamp is exact."""
    bind: tuple[str, ...] = ()
    """Local addresses that connections are spread over evenly; empty: the system chooses."""
    processes: int | None = None
    """Number of processes that share the load; None: one, or all workers of `cluster`."""
    cluster: str | None = None
    """Address of a Dask scheduler whose workers share the load; None: this machine does it."""

    @property
    def is_open(self) -> bool:
        """Whether requests are sent when due, regardless of earlier replies (open loop)."""
        return self.rate is not None or self.schedule_s is not None

    @property
    def is_divided(self) -> bool:
        """Whether several processes may share the load."""
        return self.cluster is not None or (self.processes or 1) > 1

    @property
    def most_processes(self) -> int:
        """Largest number of processes that can share the load: each needs a slot of its own."""
        return min(self.concurrency, self.connections or self.concurrency)

    @property
    def ends_by_itself(self) -> bool:
        """Whether the load is an open loop with a finite number of requests."""
        if self.schedule_s is not None:
            return True
        return self.rate is not None and self.rate[-1].duration_s != inf

    @property
    def warmup_requests(self) -> int:
        """Number of warm-up requests before the run; 0 for `auto`, which trims the run itself."""
        return 0 if self.warmup == "auto" else self.warmup


@dataclass(frozen=True, slots=True)
class SpanRoutes:
    """Where spans are sent, where server spans come from, and which UI shows them."""

    otlp_endpoint: str | None = None
    output_traces: str | None = None
    receive_otlp: str | None = None
    """`HOST:PORT` at which server spans are received over gRPC; OTLP/HTTP uses the next port."""
    forward_otlp: str | None = None
    """Where to forward received spans."""
    jaeger: str | None = None
    """Base URL of Jaeger's UI and query API, from which server spans are read back."""
    trace_ui: str | None = None
    """Base URL for links in results, if users reach the trace UI under a different URL."""
    trace_share: float = 1.0
    """Share of the requests whose trace is asked for, drawn at random; the others carry a
    `traceparent` that is not sampled, and have no spans."""
    otlp_metrics: bool = True
    """Whether the run's own metrics are sent to `otlp_endpoint` while it runs."""


@dataclass(frozen=True, slots=True)
class MappingRules:
    """Rules that assign server spans to components, ahead of the built-in profiles."""

    maps: tuple[str, ...] = ()
    """Rules `component=span`, which take precedence over `mapping` and the built-in profiles."""
    mapping: str | None = None
    """A TOML file of rules; see docs/mapping.md."""


@dataclass(frozen=True, slots=True)
class Influence:
    """Which measurements of the tool's own influence to make."""

    floor: bool = False
    """Before each target, also measure a server that does nothing."""
    observer_effect: bool = False
    """Choose at random which requests are traced, to find out what tracing costs."""
    clients: tuple[str, ...] = ()
    """Client libraries that, after the run, send the same exchange in turn with the engine."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reply must be to count as a success."""

    expect_status: tuple[str, ...] = ()
    """HTTP statuses (`200`, `2xx`) and gRPC status names that count as a success; each item may
    list several, separated by commas. Empty: whatever the protocol defines as a success."""
    expect_json: tuple[str, ...] = ()
    """`path=value`, or `path` for any value: fields that a successful reply must contain."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """How streamed replies are requested and read, and their timeout."""

    token_path: str | None = None
    """Path to a field that only events with a token contain (`result.parts[0].text`). None: use
    the known formats, or else count every event as a token."""
    stream_timeout_s: float | None = None
    """Longest duration of a whole streamed reply; None: unlimited."""
    stream: bool | None = None
    """With `llm`: request streams unless False. With `oip`: call ModelStreamInfer if True. Other
    streams are recognised, not requested."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A number drawn for each request from a normal distribution; constant if `sd` is 0."""

    mean: float
    sd: float = 0.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One entry of a prompts file."""

    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each message; empty: generate a text of `input_tokens` tokens."""
    follow_ups: tuple[str, ...] = ()
    """The user's message after each answer, in a conversation."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """Tokens to request; None: the plan's default."""
    answer: str = ""
    """The recorded answer; if a tokenizer can count it, as many tokens are requested."""
    blocks: tuple[int, ...] = ()
    """Block numbers of a generated text: equal numbers, equal texts of `BLOCK_TOKENS` tokens."""


BLOCK_TOKENS: Final = 512
"""Tokens per prompt block, as in Mooncake's traces."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Requests to a language model over the OpenAI interface."""

    llm: str | None = None
    """The model's name; None: no language model is measured, and the other fields are unused."""
    input_tokens: Spread | None = None
    """Length of the whole prompt, as counted by the server; None: 256."""
    output_tokens: Spread | None = None
    """Tokens to request; None: as given in the prompts file, else 128."""
    prefix_tokens: int = 0
    """Number of leading input tokens shared by all requests of a run."""
    prompts: tuple[Prompt, ...] = ()
    """Sent in this order, repeatedly; empty: generate prompts."""
    prompts_file: str | None = None
    """The file that `prompts` were read from."""
    tokenizer: str | None = None
    """Path of a `tokenizer.json`; None: derive tokens per word from the server's own counts."""
    extra_body: str | None = None
    """A JSON object with additional fields for each request."""
    reuse_prompts: bool = False
    """Send identical prompts repeatedly, so that a server may have them cached."""
    turns: int = 1
    """Requests per conversation; if more than 1, each request repeats the conversation so far."""
    think_time_s: Spread = Spread(0.0)
    """Pause between an answer and the next turn."""


@dataclass(frozen=True, slots=True)
class Naming:
    """The user's name for the run."""

    label: str = ""


@dataclass(frozen=True, slots=True)
class Objectives:
    """What requests, or a load, are required to meet."""

    slo: str | None = None
    """Limits for each request, e.g. `ttft < 200ms, tpot < 25ms`; in a sweep or a search also
    objectives, e.g. `latency.p99 < 50ms`."""
    goodput: float | None = None
    """In a sweep or a search: the fraction of requests that must meet the limits."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Which of the server's own gauges to read during the run."""

    metrics_url: str | None = None
    """URL of a page in Prometheus's text format."""
    metrics: tuple[str, ...] = ()
    """Metrics to read besides those of known servers, optionally with labels in braces."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and how: one part for each kind of decision.

    Field names are unique across parts, because the result file lists them in one object.
    """

    payloads: Payloads
    targets: Targets = Targets()
    calls: Calls = Calls()
    tls: Tls = Tls()
    load: Workload = Workload()
    traces: SpanRoutes = SpanRoutes()
    mapping: MappingRules = MappingRules()
    influence: Influence = Influence()
    expected: Expected = Expected()
    streamed: Streamed = Streamed()
    language: LanguageModel = LanguageModel()
    naming: Naming = Naming()
    objectives: Objectives = Objectives()
    gauges: Watched = Watched()
