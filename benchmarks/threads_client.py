"""A REST client as most people write it: `threads_client.py URL BODY_FILE THREADS SECONDS`."""

import sys
import threading
import time

import requests


def work(url: str, body: bytes, end: float, counts: list[int]) -> None:
    session, done = requests.Session(), 0
    while time.perf_counter() < end:
        session.post(url, data=body)
        done += 1
    counts.append(done)


def main(url: str, file: str, threads: int, seconds: float) -> None:
    with open(file, "rb") as opened:
        body = opened.read()
    counts: list[int] = []
    end = time.perf_counter() + seconds
    workers = [threading.Thread(target=work, args=(url, body, end, counts)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(counts) / seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
