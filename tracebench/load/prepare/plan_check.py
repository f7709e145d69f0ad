"""What can be said against a plan before anyone is asked: contradictions between its options."""

from tracebench.load.prepare import expectations
from tracebench.load.prepare.grpc_methods import split
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan


def check_plan(plan: Plan) -> None:
    """See that a plan's options fit together.

    Raises:
        UsageError: two of them do not, or one that is needed is missing.
    """
    if plan.rest_url is None and plan.grpc_server is None:
        raise UsageError("no target: give --rest-url URL, --grpc-server HOST:PORT, or both")
    if plan.oip == "":
        raise UsageError("--oip is empty: give --oip MODEL")
    if not plan.payloads and plan.oip is None:
        raise UsageError("nothing to send: give one of --image, --data, --json and --payloads")
    for target, address in (("rest", plan.rest_url), ("grpc", plan.grpc_server)):
        if address is not None:
            expectations.of(plan, target)
    _check_method(plan)
    _check_certificate(plan)


def _check_method(plan: Plan) -> None:
    if plan.proto and plan.descriptor:
        raise UsageError("--proto and --descriptor exclude each other: give only one")
    if plan.grpc_method is None:
        if plan.proto or plan.descriptor:
            raise UsageError("--proto and --descriptor need a method: give --grpc-method too")
        return
    split(plan.grpc_method)
    if plan.grpc_server is None:
        raise UsageError(
            f"--grpc-method {plan.grpc_method!r} needs a server: give --grpc-server too"
        )
    if plan.oip is not None:
        raise UsageError("--oip and --grpc-method exclude each other: give only one")


def _check_certificate(plan: Plan) -> None:
    if plan.cert is None:
        if plan.key is not None:
            raise UsageError(f"--key {plan.key!r} needs its certificate: give --cert FILE too")
        return
    addresses = (plan.rest_url or "", plan.grpc_server or "")
    if not any(one.startswith(("https://", "grpcs://")) for one in addresses):
        raise UsageError(
            f"--cert {plan.cert!r} is used only with TLS: give an https:// or grpcs:// target"
        )
