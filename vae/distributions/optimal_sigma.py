"""The Gaussian whose one standard deviation is set by the data it scores."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value
from vae.distributions.normal import Normal

NO_SAMPLE = "OptimalSigmaNormal has no sigma until it sees a value, so it cannot be sampled; use its mean, or at(value)."


@distribution
class OptimalSigmaNormal:
    """Gaussian with the standard deviation that explains this example best (sigma-VAE).

        sigma*(x)^2 = |x - mean|^2 / D + smallest_std^2
        log p(x) = log N(x; mean, sigma*(x)^2 I) = - D/2 [ ln(2 pi sigma*^2) + 1 ]   up to the floor

    mean:         any shape, D entries.
    smallest_std: keeps the value finite where the mean meets the data, shape ().

    sigma* depends on the value, so this is a profile likelihood and no density: it does not integrate to one and is an upper
    bound on log N(x; mean, sigma^2 I) for every sigma (up to the floor). Train with it, then report a likelihood with
    the sigma measured on training data, through `Normal`. The gradient in the mean is (x - mean) / sigma*^2: the squared error
    is weighed against the KL without a weight to tune.
    (Rybkin et al. 2021, section 4.2, here for each example.)
    """

    mean: Float[Array, "*event"]
    smallest_std: Float[Array, ""] | float = 1e-3

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = False  # it has no draws
    is_density: ClassVar[bool] = False  # what a report asks before it calls a number an NLL

    @property
    def mode(self) -> Float[Array, "*event"]:
        """The mean."""
        return self.mean

    def at(self, value: Float[Array, "*event"]) -> Normal:
        """N(mean, sigma*(value)^2 I)."""
        mean_square = jnp.mean(jnp.square(value - self.mean)) + jnp.square(self.smallest_std)
        return Normal(mean=self.mean, log_std=jnp.full_like(self.mean, 0.5) * jnp.log(mean_square))

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Profile log likelihood in nats, summed over the event."""
        require_value(self, value, jnp.shape(self.mean))
        return self.at(value).log_prob(value)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Raises TypeError: without a value there is no sigma."""
        raise TypeError(NO_SAMPLE)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """Raises TypeError: without a value there is no sigma."""
        raise TypeError(NO_SAMPLE)
