"""What Orbax and its storage library say when something fails, brought down to the part that a user can act on."""

import logging
import os
import re
from pathlib import Path


def reason(error: BaseException) -> str:
    """What went wrong: in the words of the operating system where it was that, else one line without the pages around it."""
    text = str(error).strip() or type(error).__name__
    if code := re.search(r"os_error_code='(\d+)'", text):
        return os.strerror(int(code[1]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, LookupError):
        return f"no entry {text}"
    line = text.splitlines()[0].partition(" [")[0]
    return line if len(line) <= 150 else f"...{line[-150:]}"


class _WithoutOrbax(logging.Handler):
    """Passes on what is logged through absl, except by Orbax."""

    def emit(self, record: logging.LogRecord) -> None:
        if "orbax" not in Path(record.pathname).parts:
            logging.getLogger().handle(record)


_WITHOUT_ORBAX = _WithoutOrbax()


def hide_orbax_logs() -> None:
    """Keep Orbax from logging each failure with a traceback per thread it passes through; the failure is still raised.

    A handler in place of a filter, since absl's logger looks at no filters.
    """
    logger = _absl_logger()
    logger.addHandler(_WITHOUT_ORBAX)
    logger.propagate = False


def show_orbax_logs() -> None:
    """Undo `hide_orbax_logs`."""
    logger = _absl_logger()
    logger.removeHandler(_WITHOUT_ORBAX)
    logger.propagate = True


def _absl_logger() -> logging.Logger:
    from absl import logging as absl_logging  # which makes its logger on import: asked by name before, it would be another kind

    return absl_logging.get_absl_logger()
