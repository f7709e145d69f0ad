"""Whether what is asked of a language model fits together, before any server is contacted."""

from collections.abc import Iterator

from tracebench.load.language.interface import extra_fields
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan


def check_language(plan: Plan) -> None:
    """Check the part of a plan that is about a language model.

    Raises:
        UsageError: it conflicts with another part, or with itself.
    """
    extra_fields(plan.language.extra_body)
    if fault := next(_faults(plan), ""):
        raise UsageError(fault)


def _faults(plan: Plan) -> Iterator[str]:
    asked, targets = plan.language, plan.targets
    if not asked.llm:
        yield "--llm is empty: give --llm MODEL"
    if targets.grpc_server is not None:
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


def _faults_with_file(plan: Plan) -> Iterator[str]:
    asked = plan.language
    if asked.input_tokens is not None:
        yield "--prompts says how long prompts are: leave out --input-tokens"
    if asked.prefix_tokens:
        yield "--prompts says how prompts begin: leave out --prefix-tokens"
