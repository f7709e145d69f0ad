"""Consistency checks of the language-model options, before any server is contacted."""

from collections.abc import Iterator

from tracebench.load.language.interface import extra_fields, is_chat
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Spread


def check_language(plan: Plan) -> None:
    """Check the language-model part of a plan.

    Raises:
        UsageError: it conflicts with another part, or within itself.
    """
    extra_fields(plan.language.extra_body)
    if fault := next(_faults(plan), ""):
        raise UsageError(fault)


def _faults(plan: Plan) -> Iterator[str]:
    asked = plan.language
    if not asked.llm:
        yield "--llm is empty: give --llm MODEL"
    if "grpc" in plan.targets.protocols:
        yield "--llm speaks the OpenAI interface, which is REST: give --rest-url instead of gRPC"
    if plan.payloads.all:
        yield "--llm makes its requests: leave out --image, --data, --json and --payloads"
    if plan.calls.oip is not None:
        yield "--llm and --oip exclude each other: give only one"
    if plan.calls.method != "POST":
        yield f"--llm posts its prompts: leave out --method {plan.calls.method}"
    if plan.influence.clients:
        yield "--client would send the same prompt again and again: leave it out with --llm"
    if asked.prompts:
        yield from _faults_with_file(plan)
    if asked.turns > 1:
        yield from _faults_of_turns(plan)
    elif asked.think_time_s != Spread(0.0):
        yield "--think-time is between turns: give --turns N too"


def _faults_with_file(plan: Plan) -> Iterator[str]:
    asked = plan.language
    if asked.input_tokens is not None:
        yield "--prompts says how long prompts are: leave out --input-tokens"
    if asked.prefix_tokens:
        yield "--prompts says how prompts begin: leave out --prefix-tokens"


def _faults_of_turns(plan: Plan) -> Iterator[str]:
    prompts = plan.language.prompts
    if plan.load.is_open:
        yield (
            "--turns sends the next turn when the last one was answered: leave out --rate and "
            "--arrivals (a trace's times too), and give the number of users as --concurrency"
        )
    if plan.streamed.stream is False:
        yield "--turns reads the answers from their streams: leave out --no-stream"
    if plan.influence.observer_effect:
        yield "--observer-effect draws for each request, --turns has them in order: give only one"
    if plan.traces.trace_share < 1:
        yield "--trace-share draws for each request, --turns has them in order: give only one"
    if prompts and not any(one.follow_ups for one in prompts):
        yield (
            f"--prompts {plan.language.prompts_file!r} has nothing for later turns: give "
            "conversations (ShareGPT's form), or leave out --turns"
        )


def check_interface(plan: Plan, url: str) -> None:
    """Check that the interface at a URL supports what the plan requires.

    Raises:
        UsageError: it is the completions interface, which takes one text and no history.
    """
    if is_chat(url):
        return
    if plan.language.turns > 1:
        raise UsageError("--turns needs chat completions: end the URL in /v1/chat/completions")
    if any(len(one.messages) > 1 for one in plan.language.prompts):
        raise UsageError(
            f"--prompts {plan.language.prompts_file!r} has several messages a prompt, which needs "
            "chat completions: end the URL in /v1/chat/completions"
        )
