"""The middleware, installed by pip: by itself, and beside the full package that contains it."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tools.house import MODULES, ROOT

pytestmark = pytest.mark.slow

FULL, ALONE = "tracebench", "tracebench-middleware"
PROJECTS = {FULL: ".", ALONE: "server_middleware"}

SERVER = """
import sys
from wsgiref.util import setup_testing_defaults
from server_middleware import component, instrument

@instrument
def app(environ, start_response):
    with component("inference"):
        start_response("200 OK", [])
        return [b"espresso"]

environ, mirror = {"HTTP_X_BENCHMARK": "1"}, {}
setup_testing_defaults(environ)
assert list(app(environ, lambda status, headers: mirror.update(headers))) == [b"espresso"]
assert "inference" in mirror["X-Timing-Info"]
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(*sorted({name.partition(".")[0] for name, file in files.items() if "site-packages" in file}))
"""


def pip(*arguments: str) -> None:
    """Run pip as if there was no network."""
    command = [sys.executable, "-m", "pip", *arguments]
    subprocess.run(command, check=True, env=environment(), capture_output=True, timeout=120)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PIP_NO_INDEX": "1"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Both packages, built from a copy: building leaves folders behind."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheels")
    for name in ("tracebench", "server_middleware"):
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    found = {}
    for name, project in PROJECTS.items():
        folder = built / name
        options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
        pip("wheel", *options, str(copy / project))
        (wheel,) = folder.iterdir()
        found[name] = str(wheel)
    return found


class Environment:
    """A virtual environment; of others' packages it has OpenTelemetry's API alone."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self._python = str(folder / "bin" / "python")
        (site,) = folder.glob("lib/*/site-packages")
        for name in with_required("opentelemetry-api"):
            copy_installed(name, site)

    def pip(self, *arguments: str) -> None:
        pip("--python", self._python, *arguments)

    def run(self, program: str) -> str:
        """Run a program, and give what it prints."""
        command = [self._python, "-I", "-c", program]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def has_middleware(self) -> bool:
        program = "from importlib.util import find_spec; print(find_spec('server_middleware'))"
        return self.run(program) != "None\n"


def with_required(name: str) -> Iterator[str]:
    """A package that is installed here, and those that it needs."""
    yield name
    for required in map(Requirement, distribution(name).requires or ()):
        if required.marker is None or required.marker.evaluate():
            yield from with_required(required.name)


def copy_installed(name: str, site: Path) -> None:
    for file in distribution(name).files or ():
        if ".." not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), site / file)


def test_both_packages_have_the_same_middleware(wheels: dict[str, str]) -> None:
    files = {}
    for name, wheel in wheels.items():
        with ZipFile(wheel) as opened:
            files[name] = {one for one in opened.namelist() if ".dist-info/" not in one}
    modules = {str(path.relative_to(ROOT)) for path in MODULES.values()}
    ours = {name for name in modules if not name.startswith("tracebench/")}
    assert files[ALONE] == ours | {"server_middleware/py.typed"}
    assert {one for one in files[FULL] if not one.startswith("tracebench/")} == files[ALONE]


def test_by_itself_it_needs_the_api_alone(wheels: dict[str, str], tmp_path: Path) -> None:
    installed = Environment(tmp_path / "environment")
    installed.pip("install", wheels[ALONE])  # without network: what it needs has to be there
    loaded = installed.run(SERVER).split()
    assert set(loaded) - {"typing_extensions"} == {"opentelemetry", "server_middleware"}
    tell = f"from importlib.metadata import requires; print(*requires({ALONE!r}))"
    assert installed.run(tell) == "opentelemetry-api>=1.39\n"


@pytest.mark.parametrize(("first", "second"), [(FULL, ALONE), (ALONE, FULL)])
def test_beside_the_full_package(
    wheels: dict[str, str], tmp_path: Path, first: str, second: str
) -> None:
    installed = Environment(tmp_path / "environment")
    for name in (first, second):
        installed.pip("install", "--no-deps", wheels[name])
        assert installed.run(SERVER)
    installed.pip("uninstall", "--yes", first)
    assert not installed.has_middleware(), "docs/middleware.md says so"
    installed.pip("install", "--no-deps", "--force-reinstall", wheels[second])
    assert installed.run(SERVER)
