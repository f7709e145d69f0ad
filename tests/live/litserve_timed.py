"""LitServe with our middleware in the app that it holds; run by the Python that has LitServe."""

import sys

import litserve

from server_middleware import component, instrument


class Sums(litserve.LitAPI):  # type: ignore[misc] # it is not in our environment
    """It runs in a process of its own."""

    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request):  # type: ignore[no-untyped-def] # it would take a type for a schema
        return request["x"]

    def predict(self, x: list[float]) -> float:
        with component("inference"):
            return sum(x)

    def encode_response(self, output: float) -> dict[str, float]:
        return {"sum": output}


if __name__ == "__main__":
    server = litserve.LitServer(Sums(), accelerator="cpu")
    try:
        instrument(server)
    except TypeError as error:
        print(error, flush=True)
    instrument(server.app)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
