"""Says which of requirements.txt is not installed. Exit code 1 when the pages cannot start without it."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGES_NEED = {"babel", "fsspec", "jinja2", "numpy", "pandas", "plotly", "pydantic", "sqlalchemy", "streamlit", "tokenizers"}


def missing() -> list[str]:
    """Names in requirements.txt that are not installed, in its order."""
    lines = (Path(__file__).parent.parent / "requirements.txt").read_text().splitlines()
    names = [re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0].lower() for line in lines if line and line[0] not in "#-"]
    return [name for name in names if not installed(name)]


def installed(name: str) -> bool:
    """Whether this environment has the package, in whatever version."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    absent = missing()
    if absent:
        print(f"Not installed: {', '.join(absent)}.", file=sys.stderr)
    sys.exit(1 if PAGES_NEED & set(absent) else 0)
