"""Environments of real servers and a browser, for the tests: `python -m tests.live.environments`.

It takes some minutes and 2 GB; the tests in this folder are skipped where it has not been done.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.house import ROOT

PACKAGES = {
    "bentoml": ("bentoml",),
    "litserve": ("litserve", "fastapi>=0.142", "opentelemetry-sdk", "opentelemetry-exporter-otlp"),
    "llamacpp": ("xllamacpp", "gguf"),
    "mlserver": ("mlserver",),
}


NODE_PACKAGES = ("playwright-core@1", "axe-core@4")
"""What drives a browser through a page, and judges its accessibility; Chromium itself is Debian's
`chromium`."""


def folder(server: str) -> Path:
    return ROOT / f".venv-{server}"


def program(server: str, name: str) -> str:
    """A program of a server's environment; without it the test is skipped."""
    path = folder(server) / "bin" / name
    if not path.exists():
        pytest.skip(f"no {server}: install it by `python -m tests.live.environments`")
    return str(path)


def install(server: str) -> None:
    if not folder(server).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder(server))], check=True)
    pip = [str(folder(server) / "bin" / "pip"), "install", "--quiet"]
    subprocess.run([*pip, *PACKAGES[server]], check=True)


def install_browser() -> None:
    npm = shutil.which("npm")
    if npm is None:
        print("no npm: the page is not opened in a browser")
        return
    folder("browser").mkdir(exist_ok=True)
    prefix = ("--prefix", str(folder("browser")))
    subprocess.run([npm, "install", "--silent", "--no-audit", *prefix, *NODE_PACKAGES], check=True)


if __name__ == "__main__":
    for each in PACKAGES:
        install(each)
    install_browser()
