"""What `import tracebench` offers: little at first, all of it typed, and the options of the CLI."""

import ast
import inspect
import subprocess
import sys
from typing import Any

import click
import pytest

import tracebench
from tests.cli.test_bad_input import ROOT
from tools import python_options


def test_dir_lists_what_is_public() -> None:
    assert dir(tracebench) == sorted(tracebench.__all__)  # type: ignore[attr-defined] # no stub
    for name in dir(tracebench):
        assert getattr(tracebench, name) is not None
    with pytest.raises(AttributeError, match="module 'tracebench' has no attribute 'rum'"):
        tracebench.rum  # type: ignore[attr-defined] # noqa: B018


def test_the_stub_has_the_same_names() -> None:
    stub = ast.parse((ROOT / "tracebench" / "__init__.pyi").read_text())
    imports = (one for one in stub.body if isinstance(one, ast.ImportFrom))
    names = {alias.asname for one in imports for alias in one.names}
    assert names | {"__version__"} == set(dir(tracebench))


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import tracebench; dir(tracebench); "
        "print(*sorted(set(sys.modules) - before - {'importlib', 'warnings'}))"
    )
    loaded = [one for one in printed(code).split() if not one.startswith("importlib.")]
    assert loaded == ["tracebench"]


def test_measuring_loads_no_picture_and_no_page() -> None:
    code = "import sys, tracebench; tracebench.run; print('matplotlib' in sys.modules)"
    assert printed(code) == "False"


def test_the_types_are_those_of_the_command_line() -> None:
    """If this fails: `make python-options`."""
    assert python_options.MODULE.read_text() == python_options.module()
    assert python_options.PAGE.read_text() == python_options.page()


@pytest.mark.parametrize("name", python_options.COMMANDS)
def test_each_option_of_a_command_is_a_keyword(name: str) -> None:
    function = getattr(tracebench, name.lower())
    kinds = inspect.signature(function).parameters
    keywords = {one for one, kind in kinds.items() if kind.kind is inspect.Parameter.KEYWORD_ONLY}
    typed: Any = getattr(__import__("tracebench.api.options", fromlist=["_"]), f"{name}Options")
    assert keywords - {"progress"} == set(typed.__annotations__)
    params = python_options.COMMANDS[name].params
    named = {python_options.name_of(one) for one in params if isinstance(one, click.Option)}
    missing = named - keywords
    assert missing <= {
        *("output_json", "output_html", "output_markdown", "output_plot", "output_samples"),
        *("output_junit", "plot_style", "verbose", "quiet", "dry_run"),
    }
