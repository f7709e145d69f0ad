"""Is the network what it is? A server of 5 ms, without and with a proxy that adds 10 ms.

`network` p50 with the proxy minus `network` p50 without it must be the delay that the proxy itself
measured, within 3 % or 0.3 ms. The gRPC server is written in Go: a Python one is busy itself at 32
streams, and less so behind the proxy, so that its share of the network changes. For the same reason
the proxy has the client's core: what it takes there is the client's lag, which the stamps keep out
of the network.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.side_by_side import CLIENT_CORE, OPTIONS, missing, running, tracebench

PORTS = {"rest": 18_100, "grpc": 18_200}
SERVICE_MS, DELAY_MS, REQUESTS = 5.0, 10.0, 600


def main() -> None:
    print("\nprotocol    c   network p50   with proxy   difference   proxy says   error")
    with tempfile.TemporaryDirectory() as folder:
        for protocol, command in servers(folder):
            port = PORTS[protocol]
            with running(*command, str(port), str(SERVICE_MS)):
                time.sleep(1.5)
                for concurrency in (1, 10, 32):
                    compare(protocol, port, concurrency)


def servers(folder: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each protocol's server."""
    yield "rest", (sys.executable, "-m", "benchmarks.exact_server")
    if missing("go"):
        print("skipped: the gRPC server is built with go, which is not installed")
        return
    binary = f"{folder}/goserver"
    subprocess.run(("go", "build", "-o", binary, "."), cwd="benchmarks/go_server", check=True)
    yield "grpc", (binary,)


def compare(protocol: str, port: int, concurrency: int) -> None:
    bare_ms = network(protocol, port, concurrency)
    proxy = (sys.executable, "-m", "benchmarks.delay_proxy", str(port + 1), str(port))
    with running(*proxy, str(DELAY_MS), core=CLIENT_CORE) as process:
        time.sleep(0.7)
        delayed_ms = network(protocol, port + 1, concurrency)
        process.terminate()
        said_ms = float(process.communicate(timeout=10)[0])
    error_ms = delayed_ms - bare_ms - said_ms
    passed = abs(error_ms) <= max(0.3, 0.03 * said_ms)
    print(
        f"{protocol:<8}{concurrency:>5}{bare_ms:>11.3f} ms{delayed_ms:>10.3f} ms"
        f"{delayed_ms - bare_ms:>10.3f} ms{said_ms:>10.3f} ms{error_ms:>+8.3f} ms"
        f"  {'ok' if passed else 'FAILED'}"
    )


def network(protocol: str, port: int, concurrency: int) -> float:
    """Network p50, in ms."""
    result = tracebench(
        *("--data", __file__, OPTIONS[protocol] % port),
        *("--requests", str(REQUESTS), "--concurrency", str(concurrency), "--warmup", "50"),
    )
    assert result["decomposed"] == REQUESTS
    return float(result["components"]["network"]["p50_ms"])


if __name__ == "__main__":
    main()
