"""The classifier over REST: Flask, behind waitress."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

from flask import Flask, Response, jsonify, request
from waitress import create_server
from waitress.wasyncore import close_all
from werkzeug.exceptions import BadRequest, HTTPException

from server_middleware import instrument
from tracebench.example.answering import LARGEST_BYTES, address, answer, listener
from tracebench.example.classifier import BadImageError, Classifier

FIELD = "image"
_MOST_CONNECTIONS = 1000


def create_app(classifier: Classifier) -> Flask:
    """The app: `POST /predict` with a multipart field `image` or a picture as the body."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BYTES

    @app.post("/predict")
    def predict() -> Response:
        return Response(answer(classifier, _picture()), mimetype="application/json")

    @app.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok")

    app.register_error_handler(BadImageError, _bad_image)
    app.register_error_handler(HTTPException, _refused)
    instrument(app)
    return app


@contextmanager
def listening(classifier: Classifier, host: str, port: int, threads: int) -> Iterator[str]:
    """Serve in threads of this process; yields the URL.

    Raises:
        TracebenchError: the port is in use, or the host is not an address of this machine.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)  # benchmarks fill its queue
    channels: dict[int, Any] = {}
    with listener(host, port) as taken:
        server = create_server(
            create_app(classifier),
            map=channels,
            sockets=[taken],
            threads=threads,
            ident=None,
            connection_limit=_MOST_CONNECTIONS,
            asyncore_use_poll=True,  # select() is limited to 1024 descriptors
        )
        loop = Thread(target=server.run, daemon=True)
        loop.start()
        try:
            yield f"http://{address(host, server.effective_port)}"
        finally:
            server.task_dispatcher.shutdown()
            server.trigger.pull_trigger(partial(close_all, channels))  # done by the loop's thread
            loop.join()


def _picture() -> bytes:
    if request.mimetype != "multipart/form-data":
        return request.get_data()
    if FIELD not in request.files:
        found = ", ".join(sorted({*request.files, *request.form})) or "none"
        raise BadRequest(
            f"send the picture as a file in the form field {FIELD!r}; fields found: {found}"
        )
    return bytes(request.files[FIELD].read())


def _bad_image(error: BadImageError) -> tuple[Response, int]:
    return jsonify(error=str(error)), 400


def _refused(error: HTTPException) -> Any:
    response = error.get_response()  # keeps the headers that its status requires
    response.data = json.dumps({"error": error.description})
    response.content_type = "application/json"
    return response
