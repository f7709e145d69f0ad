"""The classifier over REST: Flask."""

import json
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from server_middleware import instrument
from tracebench.example.listening import LARGEST_BYTES
from tracebench.example.pictures.answering import answer
from tracebench.example.pictures.classifier import BadImageError, Classifier

FIELD = "image"


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
