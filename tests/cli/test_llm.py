"""The options for language models: files of prompts, the key, and what does not go together."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.load.language.caching_server import How, caching, limit_of
from tests.servers import HOST
from tracebench.cli import cli
from tracebench.cli.options.llm_options import SpreadValue, key_header, language
from tracebench.cli.options.load_values import ArrivalValue, HangUpValue
from tracebench.cli.options.prompt_files import read_prompts
from tracebench.model.errors import UsageError
from tracebench.model.plan import HangUp, Prompt, Spread

URL = ("--rest-url", "http://127.0.0.1:9")
KEY = "sk-0123456789abcdef"


def written(folder: Path, content: str) -> str:
    path = folder / "prompts"
    path.write_text(content)
    return str(path)


def lines(*said: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in said)


def invoked(*args: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tracebench", *args],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
    )
    return done.returncode, done.stdout + done.stderr


def refused(*options: str) -> str:
    """What is said of options that are wrong."""
    done = CliRunner().invoke(cli, ["run", *URL, *options])
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


# ── files of prompts ─────────────────────────────────────────────────────────────────────────


def test_lines_of_text(tmp_path: Path) -> None:
    file = read_prompts(written(tmp_path, "Who?\n\nWhy {not}?\n"))
    assert [one.messages for one in file.prompts] == [
        (("user", "Who?"),),
        (("user", "Why {not}?"),),
    ]
    assert file.due_s is None


def test_lines_of_json(tmp_path: Path) -> None:
    said = (
        {"prompt": "a", "max_tokens": 3},
        {"text": "b"},
        {"messages": [{"role": "system", "content": "c"}, {"role": "user", "content": "d"}]},
    )
    first, second, third = read_prompts(written(tmp_path, lines(*said))).prompts
    assert (first.messages, first.output_tokens) == ((("user", "a"),), 3)
    assert (second.messages, second.output_tokens) == ((("user", "b"),), None)
    assert third.messages == (("system", "c"), ("user", "d"))


@pytest.mark.parametrize("as_lines", [True, False])
def test_sharegpt(tmp_path: Path, as_lines: bool) -> None:
    said = [
        {
            "id": "1",
            "conversations": [
                {"from": "human", "value": "Who?"},
                {"from": "gpt", "value": "Ada."},
                {"from": "human", "value": "When?"},
                {"from": "gpt", "value": ""},
            ],
        },
        {"id": "2", "conversations": [{"from": "gpt", "value": "nobody asked"}]},
    ]
    text = lines(*said) if as_lines else json.dumps(said)
    assert read_prompts(written(tmp_path, text)).prompts == (
        Prompt((("user", "Who?"),), follow_ups=("When?",), answer="Ada."),
    )


def test_a_mooncake_trace(tmp_path: Path) -> None:
    trace = lines(
        {"timestamp": 3_000, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]},
        {"timestamp": 3_500, "input_length": 90, "output_length": 1, "hash_ids": [2]},
    )
    file = read_prompts(written(tmp_path, trace))
    assert file.due_s == (0.0, 0.5)
    assert file.prompts[0] == Prompt(input_tokens=700, output_tokens=5, blocks=(0, 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has 0 prompts: give 1 to 100,000"),
        ("[1]", "entry 1, is no prompt: give an object with 'prompt', 'messages'"),
        ('{"prompt": ""}', "line 1, is no prompt"),
        ('{"messages": []}', "line 1, is no prompt"),
        ('{"messages": [{"role": "user", "content": [1]}]}', "line 1, is no prompt"),
        ('{"input_length": 0}', "line 1, is no prompt"),
        ('{"a": 1}\n', "line 1, is no prompt"),
        ('{"prompt": "a"}\n{', "line 2, is not valid JSON"),
        ("[{", "is not valid JSON"),
        (
            lines({"timestamp": 5, "input_length": 1}, {"timestamp": 4, "input_length": 1}),
            "line 2, has the timestamp 4, before the one above",
        ),
    ],
)
def test_what_is_no_prompt_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_prompts(written(tmp_path, content))
    assert said in str(raised.value)


# ── lengths and fields ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "spread"), [("128", Spread(128)), ("128:16", Spread(128, 16)), ("1.5:0.5", None)]
)
def test_spreads(text: str, spread: Spread | None) -> None:
    assert SpreadValue(1, 1e6, "tokens").convert(text, None, None) == (spread or Spread(1.5, 0.5))


@pytest.mark.parametrize("text", ["0", "x", "10:", "10:20", "-5", "1.2.3", "2000000", "nan"])
def test_what_is_no_spread(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        SpreadValue(1, 1e6, "tokens").convert(text, None, None)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--input-tokens", "5"), "--input-tokens goes with --llm MODEL"),
        (("--api-key", KEY), "--api-key goes with --llm MODEL"),
        (("--llm", ""), "--llm is empty"),
        (("--llm", "m", "--arrival", "gamma:2"), "--arrival gamma:2 spaces the requests of a rate"),
        (
            ("--llm", "m", "--ramp-up", "5", "--rate", "3"),
            "--ramp-up 5 starts the users",
        ),
        (("--llm", "m", "--ramp-up", "5", "--warmup", "auto"), "--warmup auto exclude each other"),
        (
            ("--llm", "m", "--ramp-up", "5", "--target", "b=http://127.0.0.1:9"),
            "--ramp-up 5 is for one target at a time",
        ),
        (("--llm", "m", "--data", __file__), "leave out --image, --data"),
        (("--llm", "m", "--oip", "m"), "--llm and --oip exclude each other"),
        (("--llm", "m", "--grpc-server", "127.0.0.1:9"), "--llm speaks the OpenAI interface"),
        (("--llm", "m", "--method", "PUT"), "leave out --method PUT"),
        (("--llm", "m", "--client", "requests"), "--client would send the same prompt"),
        (("--llm", "m", "--extra-body", "{"), "--extra-body is not valid JSON"),
        (("--llm", "m", "--extra-body", "[]"), "--extra-body is not a JSON object"),
        (("--llm", "m", "--extra-body", '{"stream": true}'), "give --no-stream"),
        (("--llm", "m", "--tokenizer", "/nowhere"), "cannot read --tokenizer '/nowhere'"),
        (("--llm", "m", "--rest-url", "http://127.0.0.1:9/predict"), "give the base URL"),
        (
            ("--llm", "m", "--api-key", KEY, "--header", "authorization: x"),
            "--api-key and --header 'Authorization: …' exclude each other",
        ),
    ],
)
def test_what_does_not_go_together(options: tuple[str, ...], said: str) -> None:
    shown = refused(*options)
    assert said in shown
    assert KEY not in shown
    assert len(shown.splitlines()) == 1


def test_a_file_says_how_long_prompts_are(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n")
    for option in ("--input-tokens", "--prefix-tokens"):
        shown = refused("--llm", "m", "--prompts", path, option, "64")
        assert f"leave out {option}" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20tokens", HangUp(tokens=20)),
        ("1token:0.5", HangUp(tokens=1, share=0.5)),
        ("2s", HangUp(after_s=2)),
        ("1m30s:0.25", HangUp(after_s=90, share=0.25)),
    ],
)
def test_when_to_hang_up(text: str, said: HangUp) -> None:
    assert HangUpValue().convert(text, None, None) == said


@pytest.mark.parametrize("text", ["20", "0tokens", "0s", "2s:0", "2s:1.5", "2s:x", "tokens", "-2s"])
def test_what_is_no_hang_up(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        HangUpValue().convert(text, None, None)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["gamma:0.5", "poisson", "constant", "gamma:1e3"])
def test_arrivals(text: str) -> None:
    assert ArrivalValue().convert(text, None, None) == text.replace("1e3", "1000")


@pytest.mark.parametrize("text", ["gamma", "gamma:0", "gamma:x", "gamma:inf", "even", "gamma:nan"])
def test_what_is_no_arrival(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        ArrivalValue().convert(text, None, None)
    assert f"{text!r}: give constant, poisson, or gamma:K" in str(raised.value)


# ── the key ──────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = (("Authorization", f"Bearer {KEY}"),)
    assert key_header({"llm": "m", "api_key": KEY}, ()) == bearer
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_header({"llm": "m", "api_key": None}, ()) == bearer
    assert key_header({"llm": "m", "api_key": None}, (("authorization", "x"),)) == ()
    assert key_header({"llm": None, "api_key": None}, ()) == (), "nobody else gets it"
    monkeypatch.setenv("OPENAI_API_KEY", "two words")
    with pytest.raises(UsageError) as raised:
        key_header({"llm": "m", "api_key": None}, ())
    assert "$OPENAI_API_KEY is no key" in str(raised.value)
    assert "two words" not in str(raised.value)


def test_a_trace_is_sent_at_its_times_and_the_key_is_shown_nowhere(tmp_path: Path) -> None:
    trace = lines(
        *({"timestamp": 100 * at, "input_length": 40, "output_length": 2 + at} for at in range(4))
    )
    path, out = written(tmp_path, trace), tmp_path / "out.json"
    with caching(How(key=KEY, prefill_ms=0.5, gap_ms=10)) as server:
        url = f"http://{HOST}:{server.port}"
        options = ("--llm", "exact", "--prompts", path, "--output-json", str(out))
        status, shown = invoked("run", "--rest-url", url, *options, OPENAI_API_KEY=KEY)
    assert status == 0, shown
    result = json.loads(out.read_text())
    assert result["targets"]["rest"]["requests"]["succeeded"] == 4
    assert result["plan"]["schedule_s"] == {"count": 4, "last_s": pytest.approx(0.3)}
    assert [limit_of(one.body) for one in server.generated[1:]] == [2, 3, 4, 5]
    assert KEY not in shown + out.read_text()


def test_without_a_model_nothing_is_planned() -> None:
    part, due_s = language({"llm": None})
    assert (part.llm, due_s) == (None, None)
