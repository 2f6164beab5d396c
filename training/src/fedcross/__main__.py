"""The command ``fedcross``, also ``python -m fedcross``.

Ctrl-C while the libraries are imported, which takes a second or more, ends the program at once.
"""

import os
import signal

_INTERRUPTED = 130  # fedcross.contract.exits is not imported yet


def _end(number: int, frame: object) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(_INTERRUPTED)


def main() -> None:
    """Import the command line and run it."""
    before = signal.signal(signal.SIGINT, _end)
    from fedcross import cli

    signal.signal(signal.SIGINT, before)
    cli.main()


if __name__ == "__main__":
    main()
