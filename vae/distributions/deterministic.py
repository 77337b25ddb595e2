"""The point mass: what a deterministic encoder returns."""

from typing import Any, ClassVar, NoReturn

from jaxtyping import Array, PyTree

from vae.distributions.base import DataSpace, distribution


@distribution
class Deterministic:
    """All mass at one point; it has no density, and says None or TypeError where one is asked for.

    value: the point, an array or a pytree of any shape; gradients pass through it.

    A plain autoencoder, a Wasserstein autoencoder and a quantised code have such an encoder. None in place of log q is what
    importance weighting looks at to refuse it.
    """

    value: PyTree

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True
    is_density: ClassVar[bool] = False

    @property
    def mean(self) -> PyTree:
        """The point."""
        return self.value

    @property
    def mode(self) -> PyTree:
        """The point."""
        return self.value

    def sample(self, key: Array) -> PyTree:
        """The point, whatever the key."""
        del key
        return self.value

    def sample_and_log_prob(self, key: Array) -> tuple[PyTree, Any]:
        """The point, and None where other families return a log density."""
        return self.sample(key), None

    def log_prob(self, value: PyTree) -> NoReturn:
        """Raises TypeError: a point mass has no density."""
        raise TypeError(
            "Deterministic was asked for a log density, but a point mass has none: use a posterior with a density (Normal), "
            "or an objective that does not need one (a reconstruction loss with a discrepancy of the aggregate posterior)."
        )
