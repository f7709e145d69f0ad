"""Other tools against the same exact server: `python -m benchmarks.streams.beside`.

Installs AIPerf and GuideLLM from PyPI into environments of their own (some GB) and runs them and
tracebench by turns: 64 tokens, the first after 50 ms, then one every 10 ms; the server has core 0,
the client core 1. Prints a Markdown table: quantiles of the TTFT that a tool reports minus those
of the time from when a request reached the server to when its first token left, and the mean
inter-token latency of the tokens as they left, and as the tool reports it. A tool that cannot be
installed or run is named, and skipped.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.side_by_side import CLIENT_CORE, on_core, running, tracebench
from tools.house import ROOT

PORT: Final = 18_760
TOKENS: Final = 64
REQUESTS: Final = {1: 20, 32: 320, 128: 640}
"""Concurrency → requests."""
_TOKENIZER: Final = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = {word: at for at, word in enumerate(["<unk>", "</s>", "the", *map(str, range(500))])}
made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
kept = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>")
kept.save_pretrained(sys.argv[1])
"""
"""Both tools want a tokenizer; this one needs no download."""


class Seen(NamedTuple):
    """What a tool says, or the truth, in ms."""

    ttft_p50: float
    ttft_p99: float
    itl_mean: float


class Run(NamedTuple):
    """One run of a tool."""

    concurrency: int
    requests: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORT}"


def program(tool: str) -> str:
    """A tool's program, installed where it is not."""
    folder = ROOT / f".venv-{tool}"
    path = folder / "bin" / tool
    if not path.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", tool], check=True)
    return str(path)


def tokenizer(tool: str, folder: Path) -> str:
    """A tokenizer of few words, made by the tool's own libraries."""
    made = folder / "tokenizer"
    python = str(Path(program(tool)).parent / "python")
    call(python, "-c", _TOKENIZER, str(made))
    return str(made)


def call(*command: str) -> None:
    """Run on the client's core, with nothing of this tree in the way."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(on_core(CLIENT_CORE, *command), capture_output=True, text=True, env=plain)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-500:])


def by_tracebench(run: Run) -> Seen:
    asked = run.folder / "chat.json"
    message = {"role": "user", "content": "the " * 16}
    asked.write_text(json.dumps({"model": "exact", "stream": True, "messages": [message]}))
    found = tracebench(
        *("--json", str(asked), "--rest-url", f"{run.url}/v1/chat/completions"),
        *("--requests", str(run.requests), "--concurrency", str(run.concurrency)),
    )["stream"]
    ttft = found["ttft_service"]
    return Seen(ttft["p50_ms"], ttft["p99_ms"], found["itl"]["mean_ms"])


def by_aiperf(run: Run) -> Seen:
    out = run.folder / "aiperf"
    call(
        *(program("aiperf"), "profile", "--model", "exact", "--url", run.url),
        *("--endpoint-type", "chat", "--streaming", "--ui", "none"),
        *("--concurrency", str(run.concurrency), "--request-count", str(run.requests)),
        *("--tokenizer", tokenizer("aiperf", run.folder), "--use-server-token-count"),
        *("--isl", "16", "--osl", str(TOKENS), "--artifact-dir", str(out)),
    )
    found = json.loads((out / "profile_export_aiperf.json").read_text())
    ttft = found["time_to_first_token"]
    return Seen(ttft["p50"], ttft["p99"], found["inter_token_latency"]["avg"])


def by_guidellm(run: Run) -> Seen:
    out = run.folder / "guidellm.json"
    words = tokenizer("guidellm", run.folder)
    call(
        *(program("guidellm"), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={run.url},model=exact"),
        *("--tokenizer", f"kind=huggingface_auto,model={words}"),
        *("--data", f"kind=synthetic_text,prompt_tokens=16,output_tokens={TOKENS}"),
        *("--profile", f"kind=concurrent,streams={run.concurrency}"),
        *("--constraint", f"kind=max_requests,count={run.requests}"),
        *("--output", f"kind=json,path={out}"),
    )
    (found,) = json.loads(out.read_text())["benchmarks"]
    metrics = found["metrics"]
    ttft = metrics["time_to_first_token_ms"]["successful"]["percentiles"]
    return Seen(ttft["p50"], ttft["p99"], metrics["inter_token_latency_ms"]["successful"]["mean"])


TOOLS: Final[Mapping[str, Callable[[Run], Seen]]] = {
    "tracebench": by_tracebench,
    "AIPerf": by_aiperf,
    "GuideLLM": by_guidellm,
}


def truth(file: Path, requests: int) -> Seen:
    """What the server did: the last streams, since tools may try one before."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    whole = [line for line in lines if len(line["left_ns"]) == TOKENS][-requests:]
    ttft_ms = [(line["left_ns"][0] - line["come_ns"]) / 1e6 for line in whole]
    itl_ms = [(line["left_ns"][-1] - line["left_ns"][0]) / 1e6 / (TOKENS - 1) for line in whole]
    p50_ms, p99_ms = np.quantile(ttft_ms, (0.5, 0.99))
    return Seen(float(p50_ms), float(p99_ms), float(np.mean(itl_ms)))


def compared(name: str, concurrency: int, requests: int) -> str:
    """The line of one tool at one concurrency."""
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        run, told = Run(concurrency, requests, Path(folder)), Path(folder) / "truth.jsonl"
        server = (sys.executable, "-m", "benchmarks.streams.server", str(PORT), str(told))
        with running(*server) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seen = TOOLS[name](run)
        true = truth(told, requests)
    return (
        f"| {name} | {concurrency} | {seen.ttft_p50 - true.ttft_p50:+.2f} / "
        f"{seen.ttft_p99 - true.ttft_p99:+.2f} ms | {true.itl_mean:.3f} → {seen.itl_mean:.3f} ms |"
    )


def main() -> int:
    parser = ArgumentParser(prog="python -m benchmarks.streams.beside", description=__doc__)
    parser.add_argument("--only", default="", metavar="TOOL", help="one tool alone")
    parser.add_argument("--share", type=float, default=1.0, help="of the requests (default: 1)")
    given = parser.parse_args()
    print("| client | c | TTFT: seen − true, p50 / p99 | ITL: true → seen |\n|---|---|---|---|")
    skipped = []
    for concurrency, requests in REQUESTS.items():
        for name in TOOLS:
            if given.only not in ("", name):
                continue
            try:
                count = max(concurrency, round(requests * given.share))
                print(compared(name, concurrency, count), flush=True)
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                skipped.append(f"{name}, c = {concurrency}: skipped ({error})")
            time.sleep(1)
    print(*skipped, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
