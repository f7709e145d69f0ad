"""The command `tracebench`, also as `python -m tracebench`."""

import sys


def main() -> None:
    """Import the command line, and run it; a Ctrl-C between the two needs no traceback."""
    try:
        from tracebench import cli  # it takes a tenth of a second
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
