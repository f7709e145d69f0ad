"""The command line: options in, plain arguments out."""

import os
import sys

import click

from tracebench import __version__
from tracebench.cli.compare import compare
from tracebench.cli.demo import demo, serve
from tracebench.cli.output import standard_streams
from tracebench.cli.reports import analyze, report
from tracebench.cli.run import INTERRUPTED, run
from tracebench.cli.search import search
from tracebench.cli.spans import spans
from tracebench.cli.sweep import sweep
from tracebench.model.errors import TracebenchError
from tracebench.system import why
from tracebench.system.interrupt import heed_others
from tracebench.system.redaction import scrubbed


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="tracebench")
def cli() -> None:
    """Where does the time of a request go?

    Loads a REST or gRPC model server and splits each request's latency into client, network,
    queue, preprocessing, inference, postprocessing and the rest of the server.
    """


cli.add_command(run)
cli.add_command(sweep)
cli.add_command(compare)
cli.add_command(search)
cli.add_command(demo)
cli.add_command(serve)
cli.add_command(report)
cli.add_command(analyze)
cli.add_command(spans)


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
        return _complain("interrupted: nothing more was saved", INTERRUPTED)
    return status


def _complain(message: str, status: int) -> int:
    click.echo(f"tracebench: {scrubbed(' '.join(message.split()))}", err=True)
    return status
