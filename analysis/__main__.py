"""`python -m analysis`: the terminal's way in."""

from analysis.cli import app

if __name__ == "__main__":
    app(prog_name="python -m analysis")
