"""What to measure, and how."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal, TypeAlias

Arrival: TypeAlias = Literal["constant", "poisson"]
Protocol: TypeAlias = Literal["rest", "grpc"]
Order: TypeAlias = Literal["rotate", "random"]


@dataclass(frozen=True, slots=True)
class Payload:
    """What each request carries."""

    content: bytes
    content_type: str
    name: str
    form: Literal["image", "data", "json"]
    """Over REST a multipart field, the body as it is, or a JSON body; over gRPC `image_data` for
    the first two, and the message's JSON mapping for the last."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which the rate goes evenly from one value to another."""

    from_rps: float
    to_rps: float
    duration_s: float
    """Infinite for the last one, where nothing else ends it."""


@dataclass(frozen=True, slots=True)
class Stability:
    """How well a statistic shall be known."""

    statistic: str
    """`mean_ms`, `p50_ms`, …."""
    share: float
    """How far either end of its 95 % interval may lie from it, as a fraction of it."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """What is sent."""

    payload: Payload | tuple[Payload, ...] = ()
    """Several are sent in `order`; with `oip`, none: it is made up from the model's metadata."""
    order: Order = "rotate"
    """Of several payloads."""

    @property
    def all(self) -> tuple[Payload, ...]:
        """What the requests carry."""
        return self.payload if isinstance(self.payload, tuple) else (self.payload,)


@dataclass(frozen=True, slots=True)
class Target:
    """One of those to measure."""

    name: str
    """By which the result tells of it: letters, digits, `_` and `-`."""
    protocol: Protocol
    address: str
    """An http(s) URL, or a Unix socket's; over gRPC `[grpc(s)://]HOST:PORT` or `unix:/path`."""
    option: str
    """What named it on the command line, for messages."""


REST: Final = "rest"
GRPC: Final = "grpc"
"""The names of the targets of `--rest-url` and `--grpc-server`."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom to measure, and whether by turns."""

    rest_url: str | None = None
    grpc_server: str | None = None
    named: tuple[Target, ...] = ()
    """Those of `--target`, besides."""
    sequential: bool = False
    """Measure several one after the other, not in alternating blocks."""

    @property
    def all(self) -> tuple[Target, ...]:
        """All of them, in the order in which they are told of."""
        usual = []
        if self.rest_url is not None:
            usual.append(Target(REST, "rest", self.rest_url, "--rest-url"))
        if self.grpc_server is not None:
            usual.append(Target(GRPC, "grpc", self.grpc_server, "--grpc-server"))
        return (*usual, *self.named)

    def first(self, protocol: Protocol) -> Target:
        """The first that speaks it; there must be one."""
        return next(one for one in self.all if one.protocol == protocol)

    @property
    def protocols(self) -> frozenset[Protocol]:
        """What they speak."""
        return frozenset(one.protocol for one in self.all)


@dataclass(frozen=True, slots=True)
class Calls:
    """What is called there."""

    oip: str | None = None
    """A model to speak the Open Inference Protocol v2 to."""
    grpc_method: str | None = None
    """`package.Service/Method`; None: `inference.InferenceService/Predict`."""
    proto: str | None = None
    """A .proto file that describes the method; with `descriptor` None as well, the server does."""
    proto_path: tuple[str, ...] = ()
    descriptor: str | None = None
    """A file with a FileDescriptorSet."""
    method: str = "POST"
    field: str = "image"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and with which certificate to show who we are."""

    cacert: str | None = None
    insecure: bool = False
    cert: str | None = None
    """A PEM file with the certificate that the client shows, and those that vouch for it."""
    key: str | None = None
    """A PEM file with its private key; None: it is in `cert`."""


@dataclass(frozen=True, slots=True)
class Workload:
    """How much is sent, how fast, and for how long."""

    requests: int | None = 100
    """How many requests to measure for each target; None: as many as fit in `duration_s`."""
    duration_s: float | None = None
    until_stable: Stability | None = None
    """End the run when the latency is known so well, within the bounds above."""
    concurrency: int = 1
    """How many requests may be under way at once."""
    rate: tuple[Segment, ...] | None = None
    """Open loop: how many requests a second are due; None: see `schedule_s`, else closed loop."""
    arrival: Arrival = "constant"
    schedule_s: tuple[float, ...] | None = None
    """Open loop: when each request is due, in seconds from the begin."""
    seed: int = 0
    """Of what is drawn at random, trace ids excepted."""
    warmup: int | Literal["auto"] = 0
    """How many requests come before those that count; `auto`: what MSER-5 cuts of them."""
    timeout_s: float = 30.0
    connections: int | None = None
    """HTTP/2 connections that the slots share; None: one a slot, where every stamp is exact."""

    @property
    def is_open(self) -> bool:
        """Whether requests are sent when they are due, not when others were answered."""
        return self.rate is not None or self.schedule_s is not None

    @property
    def ends_by_itself(self) -> bool:
        """Whether an open loop has a last request that is due."""
        if self.schedule_s is not None:
            return True
        return self.rate is not None and self.rate[-1].duration_s != inf

    @property
    def warmup_requests(self) -> int:
        """How many requests come before the run."""
        return 0 if self.warmup == "auto" else self.warmup


@dataclass(frozen=True, slots=True)
class SpanRoutes:
    """Where spans go, where those of servers come from, and where people look at them."""

    otlp_endpoint: str | None = None
    output_traces: str | None = None
    receive_otlp: str | None = None
    """`HOST:PORT` at which servers' spans are taken over gRPC; HTTP has the next port."""
    forward_otlp: str | None = None
    """Where to pass on what is received."""
    jaeger: str | None = None
    """Base URL of Jaeger's UI, which is that of its query API too: to read server spans back."""
    trace_ui: str | None = None
    """Base URL of the UI that results link to, where people reach it by another one."""


@dataclass(frozen=True, slots=True)
class MappingRules:
    """Which component a span of a server belongs to, before the built-in profiles say."""

    maps: tuple[str, ...] = ()
    """`component=span`: rules that come before those of `mapping` and of the built-in profiles."""
    mapping: str | None = None
    """A TOML file of such rules; see docs/mapping.md."""


@dataclass(frozen=True, slots=True)
class Influence:
    """What to measure of the tool's own influence."""

    floor: bool = False
    """Measure a server that does nothing as well, before each target."""
    observer_effect: bool = False
    """Draw at random for each request whether tracing is asked for: what does tracing cost?"""
    clients: tuple[str, ...] = ()
    """Libraries that send the same exchange by turns with the engine, after the run."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reply must be to count as a success."""

    expect_status: tuple[str, ...] = ()
    """HTTP statuses (`200`, `2xx`) and names of gRPC ones that count as a success, each perhaps
    several, parted by commas; empty: what the protocol calls a success."""
    expect_json: tuple[str, ...] = ()
    """`path=value`, or `path` for any value: what a reply must have to count as a success."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """How replies that stream are read, and what they are held to."""

    token_path: str | None = None
    """Keys and places that lead to what an event with a token has (`result.parts[0].text`); None:
    the known forms, or else every event is a token."""
    stream_timeout_s: float | None = None
    """How long a whole reply may take; None: as long as it goes on."""
    stream: bool | None = None
    """With `llm`: ask for streams, unless False. With `oip`: call ModelStreamInfer if True. Other
    streams are noticed, not asked for."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A number that is drawn for each request: normally distributed, or the same for all."""

    mean: float
    sd: float = 0.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a file."""

    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each; empty: its text is made up, `input_tokens` long."""
    follow_ups: tuple[str, ...] = ()
    """What the user says after each answer, in a conversation."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """How many tokens to ask for; None: as the plan says."""
    answer: str = ""
    """The recorded answer, as long as which the new one shall be if a tokenizer can tell."""
    blocks: tuple[int, ...] = ()
    """Of a text that is made up: equal numbers stand for equal texts of `BLOCK_TOKENS` each."""


BLOCK_TOKENS: Final = 512
"""As in Mooncake's traces."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """What is asked of a language model, over the OpenAI interface."""

    llm: str | None = None
    """The model's name; None: nothing here matters."""
    input_tokens: Spread | None = None
    """Of the whole prompt, as the server counts; None: 256."""
    output_tokens: Spread | None = None
    """None: what the prompts say, else 128."""
    prefix_tokens: int = 0
    """So many of the input tokens are the same in all requests of a run."""
    prompts: tuple[Prompt, ...] = ()
    """Sent in this order, again and again; empty: they are made up."""
    prompts_file: str | None = None
    """Where they come from."""
    tokenizer: str | None = None
    """A `tokenizer.json`; None: the server's own counts tell how long a word is."""
    extra_body: str | None = None
    """A JSON object: more fields of each request."""
    reuse_prompts: bool = False
    """Send the same prompts each time, so that a server may have them in its cache."""
    turns: int = 1
    """More than 1: conversations of so many requests, each with all that was said before."""
    think_time_s: Spread = Spread(0.0)
    """Between an answer and the next turn."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the run is called."""

    label: str = ""


@dataclass(frozen=True, slots=True)
class Objectives:
    """What the requests, or a load, shall meet."""

    slo: str | None = None
    """Limits of each request, as `ttft < 200ms, tpot < 25ms`; in a sweep or a search objectives as
    well, as `latency.p99 < 50ms`."""
    goodput: float | None = None
    """In a sweep or a search: the share of requests that shall meet the limits."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What of the server's own gauges is read during the run."""

    metrics_url: str | None = None
    """A page in Prometheus's text format."""
    metrics: tuple[str, ...] = ()
    """Metrics to read from it besides those of known servers, perhaps with labels in braces."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and how: a part for each thing that a person decides.

    No two parts have a field of the same name: the result file tells of all fields side by side.
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
