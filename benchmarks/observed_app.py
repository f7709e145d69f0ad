"""A Flask app of three empty parts behind our middleware: `python -m benchmarks.observed_app`.

It says its port, and serves with waitress until its standard input ends.
"""

import sys
from threading import Thread

import flask
import waitress

from server_middleware import component, instrument

app = flask.Flask("observed")
instrument(app)


@app.post("/predict")
def predict() -> flask.Response:
    size = len(flask.request.get_data())
    with component("preprocessing"):
        answer = {"bytes": size}
    with component("inference"):
        answer["parts"] = 3
    with component("postprocessing"):
        return flask.jsonify(answer)


if __name__ == "__main__":
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=4)
    Thread(target=server.run, daemon=True).start()
    print(server.effective_port, flush=True)
    sys.stdin.read()
