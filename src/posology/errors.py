"""Errors that are meant for the person at the keyboard."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: shown as one line and a hint, never as a traceback. `code` is the exit code."""

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class ConfigError(UserError):
    """A bad configuration (exit code 2, as for any usage error)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, code=2)


class Interrupted(UserError):  # noqa: N818 (it is a request, not an error)
    """The user or the machine asked the run to stop, and it did so in order (exit code 130 or 143)."""
