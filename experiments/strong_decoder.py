"""A decoder that can do without its code: each pixel also sees the pixels before it."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import Bernoulli
from vae.distributions.base import DataSpace, distribution
from vae.settings import Settings
from vae.types import Key, Model, Params, PyTree, Trace


@distribution
class PixelByPixel:
    """Binary pixels in raster order, each a logistic regression on those before it.

        log p(x) = sum_i log Bernoulli(x_i; logit = l_i + sum_(j < i) W_ij x_j)

    logits:  l, the part that the code decides.
    weights: W, of which the part below the diagonal counts.
    With constant l it is the fully visible sigmoid belief network. (Frey 1998.)
    """

    logits: Float[Array, "*event"]
    weights: Float[Array, "pixels pixels"]

    data_space: ClassVar[DataSpace] = "binary"
    reparameterised: ClassVar[bool] = False

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log probability in nats, summed over pixels: one matrix product, all pixels at once."""
        before = jnp.tril(self.weights, -1) @ value.reshape(-1)
        return Bernoulli(self.logits + before.reshape(self.logits.shape)).log_prob(value)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """One pixel after the other."""
        noise = jax.random.logistic(key, (self.logits.size,))
        logits, weights = self.logits.reshape(-1), jnp.tril(self.weights, -1)

        def pixel(i, x):
            return x.at[i].set((noise[i] < logits[i] + weights[i] @ x).astype(x.dtype))

        return jax.lax.fori_loop(0, logits.size, pixel, jnp.zeros_like(logits)).reshape(self.logits.shape)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)


def strengthened(model: Model, pixels: int) -> Model:
    """A model of a Bernoulli likelihood with `PixelByPixel` in its place, W starting at zero."""

    def within(params: Params) -> Params:
        return params | {"generative": params["generative"]["code"]}

    def likelihood(params: Params, of_code: Bernoulli) -> PixelByPixel:
        return PixelByPixel(of_code.logits, params["generative"]["pixels"])

    def init(key: Key) -> tuple[Params, PyTree]:
        params, state = model.init(key)
        return params | {"generative": {"code": params["generative"], "pixels": jnp.zeros((pixels, pixels))}}, state

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings):
        draw_within = model.infer(within(params), state, x, context, settings)

        def draw(key: Key, values: tuple = ()) -> Trace:
            trace = draw_within(key, values)
            return trace._replace(likelihood=likelihood(params, trace.likelihood))

        return draw

    def prior(params: Params, *arguments, **options) -> tuple:
        return model.prior(within(params), *arguments, **options)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> PixelByPixel:
        return likelihood(params, model.decode(within(params), state, values, context))

    return model._replace(init=init, infer=infer, prior=prior, decode=decode)
