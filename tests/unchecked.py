"""The library as a user has it, without the shape checks that the tests install: to see what our own refusals say."""

from contextlib import contextmanager

import jaxtyping


@contextmanager
def unchecked():
    """Switch jaxtyping's checks off inside the block."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
