"""Turn a plan into its targets: check it before contacting any server, then prepare each."""

from collections import Counter

from tracebench.load.engine.engine import no_garbage_collection
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.language.check import check_language
from tracebench.load.prepare import expectations, rest, rpc
from tracebench.load.prepare.grpc_methods import split
from tracebench.model.errors import UsageError
from tracebench.model.plan import Calls, Plan, Targets, Tls, Workload


def prepare(plan: Plan) -> dict[str, PreparedTarget]:
    """Build each target's exchanges, and check that it answers.

    Raises:
        TracebenchError: the plan or a target is wrong.
    """
    check_plan(plan)
    prepares = {"rest": rest.prepare, "grpc": rpc.prepare}
    with no_garbage_collection():  # else each of up to 32 trials begins with a collection
        ready = {one.name: prepares[one.protocol](plan, one) for one in plan.targets.all}
    if (hang_up := plan.load.hang_up_after) is not None:
        for name, one in ready.items():
            if not one.streams:
                raise UsageError(
                    f"--hang-up-after {hang_up}: the replies of {name} do not stream: leave it out"
                )
    return ready


def check_plan(plan: Plan) -> None:
    """Check that the parts of a plan fit together.

    Raises:
        UsageError: two of them conflict, or a required one is missing.
    """
    targets = plan.targets
    _check_names(targets)
    if plan.calls.oip == "":
        raise UsageError("--oip is empty: give --oip MODEL")
    if plan.language.llm is not None:
        check_language(plan)
    elif not plan.payloads.all and plan.calls.oip is None:
        raise UsageError("nothing to send: give one of --image, --data, --json and --payloads")
    for protocol in targets.protocols:
        expectations.of(plan.expected, protocol, targets)
    streams = plan.streamed.stream and plan.language.llm is None
    if streams and (plan.calls.oip is None or "rest" in targets.protocols):
        raise UsageError(
            "--stream works only with --oip and gRPC targets: other replies that stream are "
            "detected automatically (REST: give the URL of /generate_stream)"
        )
    _check_share(plan)
    _check_load(plan)
    _check_method(plan.calls, targets)
    _check_certificate(plan.tls, targets)


def _check_names(targets: Targets) -> None:
    if not targets.all:
        raise UsageError(
            "no target: give --rest-url URL, --grpc-server HOST:PORT, or --target NAME=URL"
        )
    for name, count in Counter(one.name for one in targets.all).items():
        if count > 1:
            raise UsageError(f"{count} targets are called {name!r}: give each a name of its own")


def _check_share(plan: Plan) -> None:
    share = plan.traces.trace_share
    if not 0 < share <= 1:
        raise UsageError(f"--trace-share {share:g} is not a share above 0 and up to 1")
    if share < 1 and plan.influence.observer_effect:
        raise UsageError(
            "--trace-share and --observer-effect both draw which requests are traced: give only one"
        )


def _check_load(plan: Plan) -> None:
    load = plan.load
    if load.rate is None and load.arrival != Workload().arrival:
        raise UsageError(f"--arrival {load.arrival} spaces the requests of a rate: give --rate too")
    if load.bind and load.cluster is not None:
        raise UsageError(
            f"--bind {','.join(load.bind)} names addresses of this machine, and --cluster "
            f"{load.cluster} sends from others: give only one of them"
        )
    if load.ramp_up_s is None:
        return
    told = f"--ramp-up {load.ramp_up_s:g}"
    if load.is_open:
        raise UsageError(
            f"{told} starts the users of a closed loop one after the other: for a rate, give the "
            "ramp itself, as in --rate 1:20/30s,20"
        )
    if len(plan.targets.all) > 1 and not plan.targets.sequential:
        raise UsageError(
            f"{told} is for one target at a time, as several start anew in each of their blocks: "
            "add --sequential, or leave it out"
        )
    if load.warmup == "auto" or load.until_stable is not None:
        other = "--warmup auto" if load.warmup == "auto" else "--until-stable"
        raise UsageError(f"{told} and {other} exclude each other: give only one")


def _check_method(calls: Calls, targets: Targets) -> None:
    if calls.proto and calls.descriptor:
        raise UsageError("--proto and --descriptor exclude each other: give only one")
    if calls.grpc_method is None:
        if calls.proto or calls.descriptor:
            raise UsageError("--proto and --descriptor need a method: give --grpc-method too")
        return
    split(calls.grpc_method)
    if "grpc" not in targets.protocols:
        raise UsageError(
            f"--grpc-method {calls.grpc_method!r} needs a server: give --grpc-server too"
        )
    if calls.oip is not None:
        raise UsageError("--oip and --grpc-method exclude each other: give only one")


def _check_certificate(trust: Tls, targets: Targets) -> None:
    if trust.cert is None:
        if trust.key is not None:
            raise UsageError(f"--key {trust.key!r} needs its certificate: give --cert FILE too")
        return
    if not any(one.address.startswith(("https://", "grpcs://")) for one in targets.all):
        raise UsageError(
            f"--cert {trust.cert!r} is used only with TLS: give an https:// or grpcs:// target"
        )
