"""The command line: options in, plain arguments out."""

import os
import sys
from typing import Final

import click

from tracebench import __version__
from tracebench.cli.help.commands import SETTINGS, LazyGroup, Listed
from tracebench.cli.output import standard_streams
from tracebench.model.errors import TracebenchError
from tracebench.system import why
from tracebench.system.interrupt import heed_others

_COMMANDS: Final = {
    "Measure": {
        "run": Listed("tracebench.cli.run:run", "Load a server and split its latency."),
        "sweep": Listed(
            "tracebench.cli.sweep:sweep", "Find what saturates first as the load grows."
        ),
        "search": Listed(
            "tracebench.cli.search:search", "Find the highest load that meets an objective."
        ),
    },
    "Use what was measured": {
        "compare": Listed("tracebench.cli.compare:compare", "Compare saved runs with each other."),
        "report": Listed("tracebench.cli.reports:report", "Print or draw a saved result again."),
        "analyze": Listed(
            "tracebench.cli.reports:analyze", "Split the latency of archived traces."
        ),
        "spans": Listed(
            "tracebench.cli.spans:spans", "Show what servers emit and how it is mapped."
        ),
    },
    "Begin": {
        "demo": Listed(
            "tracebench.cli.demo:demo", "Measure the example server over both protocols."
        ),
        "serve": Listed("tracebench.cli.demo:serve", "Run the example model server."),
        "completion": Listed(
            "tracebench.cli.help.completion:completion", "Complete the command line in a shell."
        ),
    },
}


@click.group(
    cls=LazyGroup,
    listed=_COMMANDS,
    context_settings=SETTINGS,
    examples=(
        "tracebench demo",
        "tracebench run --image photo.jpg --rest-url http://127.0.0.1:5000",
        "tracebench run --help",
    ),
)
@click.version_option(__version__, prog_name="tracebench")
def cli() -> None:
    """Where does the time of a request go?

    Loads a REST or gRPC model server and splits each request's latency into client, network,
    queue, preprocessing, inference, postprocessing and the rest of the server.
    """


def main() -> None:
    """Run the command; errors that a user can cause are one line on standard error."""
    heed_others()
    standard_streams.install()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failures are reported once, here
    status = _status()
    if not status and (failure := standard_streams.take_failure()) is not None:
        status = _complain(f"cannot print ({why(failure)}): check where standard output goes", 2)
    sys.exit(status)


def _status() -> int:
    """Run the command; returns its exit status."""
    try:
        status: int = cli.main(prog_name="tracebench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return error.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except TracebenchError as error:
        return _complain(str(error), error.exit_status)
    except (click.Abort, KeyboardInterrupt):
        from tracebench.cli.run import INTERRUPTED  # its options: not for --help

        return _complain("interrupted: nothing more was saved", INTERRUPTED)
    return status


def _complain(message: str, status: int) -> int:
    from tracebench.system.redaction import scrubbed  # it knows the plan: not for --help

    click.echo(f"tracebench: {scrubbed(' '.join(message.split()))}", err=True)
    return status
