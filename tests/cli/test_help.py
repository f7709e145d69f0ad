"""Help pages, completion, and what runs before any command is imported."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from tests.load.zoo import zoo
from tracebench.cli import cli

COMMANDS = (
    *("run", "sweep", "search", "compare", "report", "analyze", "spans"),
    *("demo", "serve", "completion"),
)


def tracebench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, terminal_width=80)


def sections(text: str) -> dict[str, str]:
    """Heading → what stands below it."""
    parts = re.split(r"^(\S.*):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("command", [(), *((one,) for one in COMMANDS)])
def test_a_page_fits_80_columns_and_begins_with_examples(command: tuple[str, ...]) -> None:
    page = tracebench(*command, "--help").output
    assert max(map(len, page.splitlines())) <= 80
    known = sections(page)
    assert next(iter(known)) == "Examples"
    for line in known["Examples"].partition("\n\n")[0].splitlines():
        assert line.startswith(f"  {' '.join(('tracebench', *command))}")
    assert "--help" in page


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    """In a sentence that stands alone."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for param in command.params:
        if isinstance(param, click.Option):
            text = param.help or ""
            assert re.match(r"[A-Zg]", text), (name, param.name, text)
            assert re.search(r"[.\])]$", text), (name, param.name, text)


def test_options_stand_under_their_headings() -> None:
    known = sections(tracebench("run", "--help").output)
    assert [*known][:4] == ["Examples", "Targets", "What to send", "Load"]
    assert "--concurrency" in known["Load"]
    assert "--fail-if-slower" in known["Success, limits and gates"]
    assert "--expect-json" in known["Success, limits and gates"]
    assert "--grpc-method [PKG.SERVICE/METHOD]" in known["What to call"]
    assert [*known][-1] == "Other options"


def test_the_commands_stand_under_their_headings() -> None:
    known = sections(tracebench("--help").output)
    listed = [known[name] for name in ("Measure", "Use what was measured", "Begin")]
    names = [line.split()[0] for text in listed for line in text.splitlines() if line]
    assert names == [*COMMANDS]


def test_what_is_listed_is_what_is_imported() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name
    assert cli.get_command(click.Context(cli), "rum") is None


def test_a_mistyped_command_is_refused_in_a_line() -> None:
    done = CliRunner().invoke(cli, ("rum",), standalone_mode=False)
    assert isinstance(done.exception, click.UsageError)
    assert "No such command 'rum'" in done.exception.format_message()


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_it_imports_no_command_to_tell_of_them(arguments: str) -> None:
    code = (
        "import sys\nfrom tracebench.__main__ import main\n"
        f"sys.argv = ['tracebench', {arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.startswith('tracebench.cli.options')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


# Completion.


def completed(*words: str) -> list[tuple[str, str]]:
    """What a shell is told: kind and text of each completion of the last word."""
    shell = ShellComplete(cli, {}, "tracebench", "_TRACEBENCH_COMPLETE")
    found = shell.get_completions([*words[:-1]], words[-1])
    return [(one.type, str(one.value)) for one in found]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("s",), [("plain", one) for one in ("sweep", "search", "spans", "serve")]),
        (("run", "--conc"), [("plain", "--concurrency")]),
        (("run", "--image", "pic"), [("file", "pic")]),
        (("report", "res"), [("file", "res")]),
        (("compare", "a.json", "b"), [("file", "b")]),
        (("run", "--arrival", "p"), [("plain", "poisson")]),
        (("run", "--map", "inf"), [("plain", "inference=")]),
        (("search", "--slo", "ttf"), [("plain", "ttft.p99")]),
        (("run", "--fail-if", "infer"), [("plain", "inference.p95_ms")]),
        (
            ("run", "--rest-url", "http://a", "--fail-if", "rest.infer"),
            [("plain", "rest.inference.p95_ms")],
        ),
        (("completion", "z"), [("plain", "zsh")]),
    ],
)
def test_completions(words: tuple[str, ...], said: list[tuple[str, str]]) -> None:
    assert completed(*words) == said


def test_a_target_by_a_name_of_its_own_is_completed() -> None:
    words = ("run", "--target", "new=http://a", "--fail-if-slower", "infer")
    assert completed(*words) == [("plain", "inference.p95")]
    words = ("run", "--target", "new=http://a", "--fail-if", "new.infer")
    assert completed(*words) == [("plain", "new.inference.p95_ms")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell: str) -> None:
    script = tracebench("completion", shell).stdout
    assert "_TRACEBENCH_COMPLETE" in script
    assert "tracebench" in script


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    """As the documented line installs it, asked as bash asks."""
    (tmp_path / "tracebench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tracebench "$@"\n')
    (tmp_path / "tracebench").chmod(0o755)
    script = tracebench("completion", "bash").stdout
    ask = "COMP_WORDS=(tracebench run --conc); COMP_CWORD=2; _tracebench_completion tracebench"
    ask += "; echo ${COMPREPLY[@]}"
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{ask}"],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        check=True,
    )
    assert done.stdout.strip() == "--concurrency"


# `--grpc-method` without a value.


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("command", ["run", "sweep", "search", "spans"])
def test_methods_are_listed(version: Any, command: str) -> None:
    with zoo(version) as (address, asked):
        done = tracebench(command, "--grpc-server", address, "--grpc-method")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "zoo.v1.Animals/Classify  zoo.v1.Question → zoo.v1.Answer" in lines
    assert "zoo.v1.Animals/Watch     zoo.v1.Question → stream of zoo.v1.Answer" in lines
    assert (
        "zoo.v1.Animals/Count     stream of zoo.v1.Question → zoo.v1.Answer"
        "  (cannot be measured: it takes a stream)"
    ) in lines
    assert all(line.startswith("zoo.v1.Animals/") for line in lines)
    assert not asked


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no target"),
        (("--rest-url", "http://127.0.0.1:9"), "give --grpc-server too"),
        (("--grpc-server", "127.0.0.1:9"), "127.0.0.1:9"),
        (("--grpc-server", "127.0.0.1:9", "--proto", "x.proto"), "leave out --proto"),
    ],
)
def test_methods_that_cannot_be_listed(options: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(cli, ("run", *options, "--grpc-method"), standalone_mode=False)
    assert said in str(done.exception)


def test_a_server_without_reflection_lists_nothing() -> None:
    with zoo("no") as (address, _):
        arguments = ("run", "--grpc-method", "--grpc-server", address)
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert "the server offers no reflection" in str(done.exception)
