"""Says so, and ends with exit code 1, when a port of 127.0.0.1 cannot be served on."""

import socket
import sys


def refusal(port: str) -> str | None:
    """Why the port cannot be used, or None."""
    if not (port.isdecimal() and 1 <= int(port) <= 65535):
        return f"PORT={port} is not a port: choose a number from 1024 to 65535, for example: make run PORT=8502"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            other = int(port) % 65535 + 1
            return (
                f"Port {port} is in use. If that is Strata, open http://127.0.0.1:{port}; otherwise choose another: make run PORT={other}"
            )
    return None


if __name__ == "__main__":
    said = refusal(sys.argv[1])
    if said:
        print(said, file=sys.stderr)
    sys.exit(1 if said else 0)
