"""Does the middleware stand with the newest OpenTelemetry? It rests on some of its insides."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.long.check import Check
from tools.house import ROOT

TESTS = ("-q", "-m", "not live and not alone", "tests/middleware")
VERSION = "from importlib.metadata import version; print(version('opentelemetry-sdk'))"


def opentelemetry() -> Iterator[Check]:
    """All packages are installed anew, so that each is the newest that pyproject.toml lets in."""
    with TemporaryDirectory() as folder:
        python = str(Path(folder) / "bin" / "python")
        told(sys.executable, "-m", "venv", folder)
        told(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
        told(python, "-m", "pip", "install", "--quiet", "--editable", ".[dev]")
        version = told(python, "-c", VERSION).strip()
        tests = subprocess.run([python, "-m", "pytest", *TESTS], cwd=ROOT, capture_output=True)
    printed = tests.stdout.decode()
    if failed := tests.returncode != 0:
        print(printed)
    counts = re.findall(r"\d+ (?:passed|failed|errors?)", printed)
    name = f"the middleware's tests with opentelemetry-sdk {version}"
    yield Check(name, ", ".join(counts), "all pass", not failed)


def told(*command: str) -> str:
    """What a program prints; it has to succeed, and says on standard error why it does not."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
