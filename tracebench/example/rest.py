"""The classifier over REST: Flask."""

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from server_middleware import instrument
from tracebench.example.answering import LARGEST_BYTES, answer
from tracebench.example.classifier import BadImageError, Classifier

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

    @app.errorhandler(BadImageError)
    def bad_image(error: BadImageError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    @app.errorhandler(HTTPException)
    def bad_request(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description), error.code or 500

    instrument(app)
    return app


def _picture() -> bytes:
    if request.mimetype != "multipart/form-data":
        return bytes(request.get_data())
    if FIELD not in request.files:
        found = ", ".join(sorted({*request.files, *request.form})) or "none"
        raise BadRequest(f"send the picture in the form field {FIELD!r}; fields found: {found}")
    return bytes(request.files[FIELD].read())
