"""`python -m tracebench` is the command `tracebench`."""

from tracebench.cli import main

if __name__ == "__main__":
    main()
