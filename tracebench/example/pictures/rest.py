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
from tracebench.example.listening import address, listener
from tracebench.example.pictures.answering import LARGEST_BYTES, answer
from tracebench.example.pictures.classifier import BadImageError, Classifier

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
    """Serve in threads of this process; gives the URL.

    Raises:
        TracebenchError: the port is taken.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)  # a queue is what a benchmark is for
    channels: dict[int, Any] = {}
    with listener(host, port) as taken:
        server = create_server(
            create_app(classifier),
            map=channels,
            sockets=[taken],
            threads=threads,
            ident=None,
            connection_limit=_MOST_CONNECTIONS,
            asyncore_use_poll=True,  # select() ends at 1024 descriptors
        )
        loop = Thread(target=server.run, daemon=True)
        loop.start()
        try:
            yield f"http://{address(host, server.effective_port)}"
        finally:
            server.task_dispatcher.shutdown()
            server.trigger.pull_trigger(partial(close_all, channels))  # the loop's to close
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
    response = error.get_response()  # with the headers that its status asks for
    response.data = json.dumps({"error": error.description})
    response.content_type = "application/json"
    return response
