"""A model server that knows nothing of tracebench: it makes its own spans."""

import sys
from typing import Any

from flask import Flask
from opentelemetry import trace
from waitress import serve

app = Flask("model")
tracer = trace.get_tracer("model")


@app.post("/predict")
def predict() -> str:
    with tracer.start_as_current_span("preprocessing"), tracer.start_as_current_span("decode"):
        pass
    with tracer.start_as_current_span("inference"):
        return "espresso"


def main(port: str) -> Any:
    serve(app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main(sys.argv[1])
