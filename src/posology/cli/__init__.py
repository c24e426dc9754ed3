"""The command line: one thin file a group of commands. Torch is imported only inside the commands that need it."""

from __future__ import annotations

import os
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Entry point: run the app; turn what a user can mend into one line and a hint, never a traceback (unless --debug)."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched unless the user asks for it
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from posology.cli.app import app
    from posology.cli.terminal import explain

    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except SystemExit as done:  # typer has turned Ctrl-C into this
        if done.code == EXIT_INTERRUPTED:
            print("interrupted", file=sys.stderr)
        raise
    except Exception as error:
        if debug:
            raise
        sys.exit(explain(error))
