"""gRPC throughput and CPU a call against a Python grpc.aio server, 24 KB messages.

tracebench, h2load and a grpc.aio client, with the same connections and streams. The server has
core 0, the client core 1.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.side_by_side import missing, output, rounds, running, table, tracebench
from tracebench.protos import inference_pb2

PORT, BODY_BYTES, SECONDS, ROUNDS = 18_300, 24_576, 3, 3
PATH = "/inference.InferenceService/Predict"


def main() -> None:
    if absent := missing("h2load", "taskset"):
        print(f"skipped: grpc_speed needs {', '.join(absent)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        body, frame = Path(folder) / "body.bin", Path(folder) / "frame.bin"
        body.write_bytes(bytes(BODY_BYTES))
        message = inference_pb2.PredictRequest(image_data=bytes(BODY_BYTES), enable_timing=True)
        content = message.SerializeToString()
        frame.write_bytes(b"\0" + len(content).to_bytes(4, "big") + content)
        with running(sys.executable, "-m", "benchmarks.aio_grpc", "serve", str(PORT)):
            time.sleep(1.5)
            for connections, streams in ((1, 1), (10, 1), (4, 8)):
                measure(connections, streams, body, frame)


def measure(connections: int, streams: int, body: Path, frame: Path) -> None:
    cpu_us: dict[str, list[float]] = {"tracebench": [], "grpc.aio": []}

    def ours() -> float:
        result = tracebench(
            *("--data", str(body), "--grpc-server", f"127.0.0.1:{PORT}"),
            *("--concurrency", str(connections * streams), "--connections", str(connections)),
            *("--duration", str(SECONDS), "--warmup", "100"),
        )
        assert result["decomposed"] == result["requests"]["started"]
        cpu_us["tracebench"].append(result["client_cpu_s"] / result["decomposed"] * 1e6)
        return float(result["throughput_rps"])

    def aio() -> float:
        numbers = map(str, (PORT, BODY_BYTES, connections, streams, SECONDS))
        calls, cpu = output(sys.executable, "-m", "benchmarks.aio_grpc", "call", *numbers).split()
        cpu_us["grpc.aio"].append(float(cpu))
        return float(calls)

    def h2load() -> float:
        text = output(
            *("h2load", f"-c{connections}", f"-m{streams}", f"-D{SECONDS}", "-d", str(frame)),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"http://127.0.0.1:{PORT}{PATH}",
        )
        return float(text.split("finished in ")[1].split(", ")[1].split()[0])

    title = f"gRPC, {BODY_BYTES} B, grpc.aio server, {connections} connections x {streams} streams"
    table(
        title,
        rounds({"h2load": h2load, "tracebench": ours, "grpc.aio": aio}, ROUNDS),
        "call/s",
        "h2load",
    )
    table("  client's CPU a call", cpu_us, "us", "grpc.aio")


if __name__ == "__main__":
    main()
