"""What the middleware adds to a request, in every kind of server, asked to trace and not."""

import json

from benchmarks.guard.arithmetic import AtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

KINDS = ("flask", "wsgi", "asgi", "grpc", "grpc.aio")
VARIANTS = ("not asked", "asked")
WHOLE = "flask not asked"
"""3 µs beside 90 of Flask itself, which vary by as much: the whole call is compared."""


def measure(side: Side, _bench: Bench) -> tuple[float, ...]:
    us = json.loads(side.output("-m", "benchmarks.guard.inside.middleware"))
    return tuple(
        us[f"{kind} {variant}"] - (0.0 if f"{kind} {variant}" == WHOLE else us[f"{kind} bare"])
        for kind in KINDS
        for variant in VARIANTS
    )


def check(name: str) -> Check:
    how = "whole call" if name == WHOLE else "added to a bare call"
    return Check(f"middleware, {name}", "µs/req", AtMost(1.05), f"{how}; least of 60 turns")


CHECKS = tuple(check(f"{kind} {variant}") for kind in KINDS for variant in VARIANTS)
TOPICS = (Topic(CHECKS, measure, blocks=4, at_once=True),)
