"""A server of Tornado that knows nothing of tracebench: it makes its own spans."""

import asyncio
import sys
import time

from opentelemetry import trace
from tornado.web import Application, RequestHandler

tracer = trace.get_tracer("model")


class Predict(RequestHandler):
    def post(self) -> None:
        with tracer.start_as_current_span("preprocessing"):
            time.sleep(0.005)
        with tracer.start_as_current_span("inference"):
            time.sleep(0.01)
        self.write(b"espresso")


class Fail(RequestHandler):
    def post(self) -> None:
        with tracer.start_as_current_span("inference"):
            time.sleep(0.01)
        raise RuntimeError("out of memory")


class Stream(RequestHandler):
    async def post(self) -> None:
        with tracer.start_as_current_span("inference"):
            time.sleep(0.01)
        for _ in range(3):
            self.write(b"token ")
            await self.flush()


async def main(port: str) -> None:
    rules = [("/predict", Predict), ("/fail", Fail), ("/stream", Stream)]
    Application(rules).listen(int(port), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
