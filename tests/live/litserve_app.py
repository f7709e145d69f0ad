"""A LitServe server that knows nothing of tracebench; it is run by the Python that has LitServe."""

import sys
import time

import litserve


class Sums(litserve.LitAPI):  # type: ignore[misc] # it is not in our environment
    """Takes 3 ms."""

    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request):  # type: ignore[no-untyped-def] # it would take a type for a schema
        return request["inputs"]

    def predict(self, x: list[float]) -> float:
        time.sleep(0.003)
        return sum(x)

    def encode_response(self, output: float) -> dict[str, float]:
        return {"sum": output}


if __name__ == "__main__":
    server = litserve.LitServer(Sums(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
