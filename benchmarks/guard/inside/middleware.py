"""What the middleware adds to a request: `python -m benchmarks.guard.inside.middleware`.

The handlers of `benchmarks.direct`, as they are and behind the middleware, asked to trace and not;
all take turns, and the least of many turns counts. Prints JSON: kind and variant → µs of a call.
"""

import json

from benchmarks.middleware import least_us, trace_and_drop, variants

CALLS = 20


def main() -> None:
    trace_and_drop()
    found = {}
    for kind, calls in variants().items():
        del calls["official"]
        for variant, us in least_us(calls, CALLS).items():
            found[f"{kind} {variant}"] = us
    print(json.dumps(found))


if __name__ == "__main__":
    main()
