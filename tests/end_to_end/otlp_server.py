"""A model server that knows OpenTelemetry and nothing of ours: Flask, the official instrumentor, a
BatchSpanProcessor and an exporter as the environment says (OTEL_EXPORTER_OTLP_*).

Run it with the arguments `grpc` or `http`; it prints its port. With `middleware` too, the spans are
those of our middleware instead, which also writes timings into the replies.
"""

import sys
import time

from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from waitress.server import create_server

from server_middleware import component, instrument

INFERENCE_S = 0.002
app = Flask(__name__)
tracer = trace.get_tracer("model")


@app.post("/predict")
def predict() -> dict[str, str]:
    part = component if sys.argv[2:] == ["middleware"] else tracer.start_as_current_span
    with part("preprocessing"):
        pass
    with part("inference"):
        time.sleep(INFERENCE_S)
    return {"result": "cat"}


def main(protocol: str, by: str = "") -> None:
    provider = TracerProvider()
    exporter: SpanExporter = OverGrpc(insecure=True) if protocol == "grpc" else OverHttp()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    if by == "middleware":
        instrument(app)
    else:
        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call] # it ships none
    server = create_server(app, host="127.0.0.1", port=0, threads=8)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
