"""`python -m analysis`: the terminal's way in."""

import sys

from analysis.cli import app
from analysis.cli.terminal import typer_is_too_old

if __name__ == "__main__":
    sys.exit(typer_is_too_old(sys.argv[1:]) or app(prog_name="python -m analysis"))
