"""The examples that a model is evaluated on, with what is known of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vae.types import PyTree


class Examples(NamedTuple):
    """Test examples as a model sees them; all with a leading axis of examples.

    x:           pytree of data.
    context:     a row of what is conditioned on for each example, () for nothing.
    labels:      (N,) classes or (N, F) factors of variation, for pictures and probes; None where there are none.
    label_names: of the classes 0, 1, ...; () where they have none.
    """

    x: PyTree
    context: PyTree = ()
    labels: Any = None
    label_names: Sequence[str] = ()
