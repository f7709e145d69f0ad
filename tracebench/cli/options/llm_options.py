"""The options for language models; builds the plan's part for them."""

import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import chain
from typing import Any, Final

import click

from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import filled, fills, headed
from tracebench.cli.options.prompt_files import PromptFile, read_prompts
from tracebench.model.errors import UsageError
from tracebench.model.plan import LanguageModel, Spread
from tracebench.system.input_files import check_file

KEY_VARIABLE: Final = "OPENAI_API_KEY"
_MOST_TOKENS: Final = 10_000_000
_DAY_S: Final = 86_400
_OTHERS: Final = ("prompts", "api_key")
"""Options that need --llm but do not fill a field directly."""
_SPREAD: Final = re.compile(r"([0-9.]+)(?::([0-9.]+))?")


class SpreadValue(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """`MEAN[:SD]`."""

    name = "spread"

    def __init__(self, least: float, most: float, unit: str) -> None:
        self._least, self._most, self._unit = least, most, unit

    def convert(self, value: Any, param: Any, ctx: Any) -> Spread:
        """Parse the mean and the standard deviation."""
        if isinstance(value, Spread):
            return value
        found = _SPREAD.fullmatch(str(value).strip())
        try:
            spread = Spread(float(found[1]), float(found[2] or 0)) if found else None
        except ValueError:
            spread = None
        if spread is None or not self._least <= spread.mean <= self._most:
            self.fail(
                f"{value!r}: give {self._unit} from {self._least:g} to {self._most:g}, and after a "
                "colon perhaps their standard deviation, as in 256:32.",
                param,
                ctx,
            )
        if spread.sd > spread.mean:
            self.fail(f"{value!r} spreads wider than its mean: give less after ':'.", param, ctx)
        return spread


_TOKENS: Final = SpreadValue(1, _MOST_TOKENS, "tokens")
_THINKING: Final = SpreadValue(0, _DAY_S, "seconds")
_MOST_TURNS: Final = 1_000
LLM = headed(
    "Language models",
    fills(
        LanguageModel,
        "--llm",
        metavar="MODEL",
        help="Send prompts to this model over the OpenAI interface at --rest-url: chat "
        "completions, or completions if the URL ends so.",
    ),
    fills(
        LanguageModel,
        "--input-tokens",
        type=_TOKENS,
        metavar="N[:SD]",
        help="Length of a whole prompt, as the server counts. [default: 256]",
    ),
    fills(
        LanguageModel,
        "--output-tokens",
        type=_TOKENS,
        metavar="N[:SD]",
        help="Length of an answer. [default: as in --prompts, else 128]",
    ),
    fills(
        LanguageModel,
        "--prefix-tokens",
        type=click.IntRange(0, _MOST_TOKENS),
        metavar="N",
        help="Let all prompts of a run begin with the same N tokens.",
    ),
    click.option(
        "--prompts",
        type=FILE,
        metavar="FILE",
        help="Prompts to send in order: lines of text or JSON, ShareGPT's form, or a Mooncake "
        "trace, whose times are kept unless --rate or --arrivals says otherwise.",
    ),
    fills(
        LanguageModel,
        "--reuse-prompts",
        is_flag=True,
        help="Send the same prompts in each run, so that the server may have them in its cache.",
    ),
    fills(
        LanguageModel,
        "--tokenizer",
        type=FILE,
        metavar="FILE",
        help="A tokenizer.json that counts tokens. [default: the server's usage]",
    ),
    fills(
        LanguageModel,
        "--extra-body",
        metavar="JSON",
        help="More fields of each request, e.g. '{\"temperature\": 0}'.",
    ),
    fills(
        LanguageModel,
        "--turns",
        type=click.IntRange(1, _MOST_TURNS),
        metavar="N",
        help="Send conversations of N requests, each with all that was said before; --concurrency "
        "is the number of users.",
    ),
    fills(
        LanguageModel,
        "--think-time",
        field="think_time_s",
        type=_THINKING,
        metavar="S[:SD]",
        help="How long a user thinks between an answer and the next turn.",
    ),
    click.option(
        "--api-key",
        metavar="KEY",
        help=f"Sent as a bearer token, and never shown. [default: ${KEY_VARIABLE}]",
    ),
)


def language(given: Mapping[str, Any]) -> tuple[LanguageModel, tuple[float, ...] | None]:
    """The language-model part of the plan, and due times if the prompts file has any.

    Raises:
        UsageError: an option needs --llm, or the prompts file cannot be read.
    """
    if given.get("llm") is None:
        part = filled(LanguageModel, {**given, "prompts": None})
        changed = (one.name for one in fields(part) if getattr(part, one.name) != one.default)
        without = next(chain(changed, (name for name in _OTHERS if given.get(name))), None)
        if without is not None:
            option = without.removesuffix("_s").replace("_", "-")
            raise UsageError(f"--{option} goes with --llm MODEL: give that too")
        return LanguageModel(), None
    if given["tokenizer"] is not None:
        check_file("--tokenizer", given["tokenizer"])
    path = given.get("prompts")
    file = read_prompts(path) if path is not None else PromptFile(())
    part = filled(LanguageModel, {**given, "prompts": file.prompts})
    return replace(part, prompts_file=path), file.due_s


def key_header(
    given: Mapping[str, Any], headers: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The authorisation header for the API key, if there is a key and no other credentials.

    Raises:
        UsageError: the key conflicts with an Authorization header, or is not valid in one.
    """
    own = any(name.lower() == "authorization" for name, _ in headers)
    key = given.get("api_key")
    if given.get("llm") is None or (own and key is None):
        return ()
    if own:
        raise UsageError("--api-key and --header 'Authorization: …' exclude each other: give one")
    option = "--api-key" if key is not None else f"${KEY_VARIABLE}"
    key = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
    if not key:
        return ()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{option} is no key: use printable ASCII without spaces")
    return (("Authorization", f"Bearer {key}"),)
