"""The same workload sent by other tools: `python -m benchmarks.streams.workload [--only TOOL]`.

AIPerf, GuideLLM and tracebench are asked for the same prompts, answers and arrivals, against a
server that keeps every prompt and notes when each request came and each token left. One byte is one
token, for the server and for the tokenizer that the others are given. Prints a Markdown table of
what came: how many requests and how many different prompts, how long they were, how much of their
start two of them had in common, how the arrivals were spaced, and the throughput by the server's
clock and as the tool reports it. Needs core 0 for the server and core 1 for the tools; installs
them as `benchmarks.streams.beside` does, which has their errors.
"""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.side_by_side import running, tracebench
from benchmarks.streams.beside import PORT, call, program

INPUT, OUTPUT = 500, 64
_TOKENIZER: Final = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
made = Tokenizer(models.BPE({one: at for at, one in enumerate(["</s>", *letters])}, []))
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
made.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>").save_pretrained(sys.argv[1])
"""
"""Each byte is a token, so that any text has as many tokens as the server counts."""
_COLUMNS: Final = (
    *("load", "client", "requests", "sent before", "different prompts", "common start"),
    *("tokens a prompt", "tokens an answer", "arrivals/s (CV of gaps)"),
    *("requests/s: server → tool", "tokens/s: server → tool"),
)


class Load(NamedTuple):
    """How requests are to arrive."""

    name: str
    requests: int
    concurrency: int = 0
    """0: an open loop."""
    rate: float = 0.0
    shape: float = 1.0
    """Of the gaps' gamma distribution; 1: Poisson."""


LOADS: Final = (
    Load("32 in flight", 320, concurrency=32),
    Load("20/s, Poisson", 400, rate=20),
    Load("20/s, gamma, K = 0.25", 400, rate=20, shape=0.25),
)


class Told(NamedTuple):
    """The throughput that a tool reports, per second."""

    requests: float
    tokens: float


def by_tracebench(load: Load, _folder: Path) -> Told:
    asked = ["--concurrency", str(load.concurrency)]
    if load.rate:
        arrival = "poisson" if load.shape == 1 else f"gamma:{load.shape:g}"
        asked = ["--rate", f"{load.rate:g}", "--arrival", arrival]
    found = tracebench(
        *("--llm", "exact", "--rest-url", f"http://127.0.0.1:{PORT}"),
        *("--input-tokens", str(INPUT), "--output-tokens", str(OUTPUT)),
        *("--requests", str(load.requests), *asked),
    )
    return Told(found["throughput_rps"], found["stream"]["output_tokens_per_s"])


def by_aiperf(load: Load, folder: Path) -> Told:
    out = folder / "aiperf"
    asked = ["--concurrency", str(load.concurrency)]
    if load.rate:
        asked = ["--request-rate", f"{load.rate:g}", "--arrival-pattern"]
        gamma = ["gamma", "--arrival-smoothness", f"{load.shape:g}"]
        asked += ["poisson"] if load.shape == 1 else gamma
    call(
        *(program("aiperf"), "profile", "--model", "exact", "--ui", "none"),
        *("--url", f"http://127.0.0.1:{PORT}", "--endpoint-type", "chat", "--streaming"),
        *("--request-count", str(load.requests), *asked),
        *("--tokenizer", _tokenizer("aiperf", folder), "--use-server-token-count"),
        *("--isl", str(INPUT), "--isl-stddev", "0", "--osl", str(OUTPUT), "--osl-stddev", "0"),
        *("--artifact-dir", str(out)),
    )
    found = json.loads((out / "profile_export_aiperf.json").read_text())
    return Told(found["request_throughput"]["avg"], found["output_token_throughput"]["avg"])


def by_guidellm(load: Load, folder: Path) -> Told:
    if load.shape != 1:
        raise RuntimeError("it has no gamma arrivals")
    out = folder / "guidellm.json"
    profile = f"kind=concurrent,streams={load.concurrency}"
    if load.rate:
        profile = f"kind=poisson,rate={load.rate:g}"
    call(
        *(program("guidellm"), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target=http://127.0.0.1:{PORT},model=exact"),
        *("--tokenizer", f"kind=huggingface_auto,model={_tokenizer('guidellm', folder)}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={INPUT},output_tokens={OUTPUT}"),
        *("--profile", profile, "--constraint", f"kind=max_requests,count={load.requests}"),
        *("--output", f"kind=json,path={out}"),
    )
    (found,) = json.loads(out.read_text())["benchmarks"]
    metrics = found["metrics"]
    return Told(
        metrics["requests_per_second"]["successful"]["mean"],
        metrics["output_tokens_per_second"]["successful"]["mean"],
    )


TOOLS: Final[Mapping[str, Callable[[Load, Path], Told]]] = {
    "tracebench": by_tracebench,
    "AIPerf": by_aiperf,
    "GuideLLM": by_guidellm,
}


def _tokenizer(tool: str, folder: Path) -> str:
    made = folder / "tokenizer"
    call(str(Path(program(tool)).parent / "python"), "-c", _TOKENIZER, str(made))
    return str(made)


class Came(NamedTuple):
    """What came to the server in a run."""

    requests: int
    before: int
    """Requests that were sent before the run."""
    different: int
    common: int
    """The longest start that two prompts have in common, in tokens."""
    prompt: tuple[int, float, int]
    """Tokens a prompt: least, mean, most."""
    answer: tuple[int, int]
    arrivals_rps: float
    spread: float
    """Coefficient of variation of the gaps between arrivals."""
    rps: float
    tokens_per_s: float


def came(lines: Sequence[Mapping[str, Any]], requests: int) -> Came:
    """Sum up what the server noted; the last `requests` of the streams are the run."""
    lines = sorted(lines, key=lambda one: one["come_ns"])
    run = lines[-requests:]
    prompts = sorted(one["prompt"] for one in run)
    sizes = [len(one.encode()) for one in prompts]
    counts = [len(one["left_ns"]) for one in run]
    come_s = np.array([one["come_ns"] for one in run]) / 1e9
    ended_s = max(one["left_ns"][-1] for one in run if one["left_ns"]) / 1e9
    gaps_s, lasted_s = np.diff(come_s), ended_s - come_s[0]
    return Came(
        requests=len(run),
        before=len(lines) - len(run),
        different=len(set(prompts)),
        common=max((_common(*both) for both in pairwise(prompts)), default=0),
        prompt=(min(sizes), sum(sizes) / len(sizes), max(sizes)),
        answer=(min(counts), max(counts)),
        arrivals_rps=float((len(run) - 1) / (come_s[-1] - come_s[0])),
        spread=float(gaps_s.std() / gaps_s.mean()),
        rps=float(len(run) / lasted_s),
        tokens_per_s=float(sum(counts) / lasted_s),
    )


def _common(one: str, other: str) -> int:
    """How many letters two texts have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def row(load: Load, name: str, found: Came, told: Told) -> str:
    """The line of one tool under one load."""
    least, mean, most = found.prompt
    arrivals = "" if load.concurrency else f"{found.arrivals_rps:.1f} ({found.spread:.2f})"
    values = (
        *(load.name, name, f"{found.requests:,}", f"{found.before:,}", f"{found.different:,}"),
        f"{found.common:,}",
        f"{least:,}" if least == most else f"{least:,} to {most:,} (mean {mean:,.1f})",
        "{:,}".format(*found.answer) if found.answer[0] == found.answer[1] else f"{found.answer}",
        arrivals,
        f"{found.rps:.2f} → {told.requests:.2f}",
        f"{found.tokens_per_s:,.0f} → {told.tokens:,.0f}",
    )
    return f"| {' | '.join(values)} |"


def measured(load: Load, name: str) -> str:
    """Run one tool under one load, against a server of its own."""
    with tempfile.TemporaryDirectory(prefix="workload-") as folder:
        file = Path(folder) / "came.jsonl"
        server = (sys.executable, "-m", "benchmarks.streams.server", str(PORT), str(file))
        with running(*server) as process:
            assert process.stdout is not None
            process.stdout.readline()
            told = TOOLS[name](load, Path(folder))
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    return row(load, name, came(lines, load.requests), told)


def main() -> int:
    parser = ArgumentParser(prog="python -m benchmarks.streams.workload", description=__doc__)
    parser.add_argument("--only", default="", metavar="TOOL", help="one tool alone")
    given = parser.parse_args()
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    skipped = []
    for load in LOADS:
        for name in TOOLS:
            if given.only not in ("", name):
                continue
            try:
                print(measured(load, name), flush=True)
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                skipped.append(f"{name}, {load.name}: skipped ({error})")
            time.sleep(1)
    print(*skipped, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
