"""`tracebench completion`: the script that completes the command line in a shell."""

import click
from click.shell_completion import get_completion_class

from tracebench.cli.help.commands import Helpful

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Helpful,
    examples=(
        "tracebench completion bash >> ~/.bashrc",
        "tracebench completion zsh >> ~/.zshrc",
        "tracebench completion fish > ~/.config/fish/completions/tracebench.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(*, shell: str) -> int:
    """Print the script that completes commands, options, components and files in a shell.

    Run the line of your shell once, then start a new shell. zsh needs `autoload -U compinit;
    compinit` above the script.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has all of these
    click.echo(kind(click.Command("tracebench"), {}, "tracebench", "_TRACEBENCH_COMPLETE").source())
    return 0
