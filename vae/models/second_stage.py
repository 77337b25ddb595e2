"""Another law of the codes, found after training: a density fitted to them, or a second model trained on them."""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import jax
from jaxtyping import Array, Float, PyTree

from vae.distributions.base import DataSpace, Distribution, distribution
from vae.models.group import given
from vae.priors import sample_prior
from vae.settings import Settings
from vae.trained import Trained
from vae.types import Key, Params, Trace


@distribution
class Generated:
    """The law of what a trained model draws, x ~ p(x | z) with z from its prior, as the prior of another model.

    trained: a model of one group or several, without a context. Of data that are standardised inside, in their own units.

    Its density is an integral over z, which `log_prob` does not know.
    """

    trained: Trained

    data_space: ClassVar[DataSpace] = "real"

    def sample(self, key: Array) -> Array:
        """Draw z from the prior, then x."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Array, None]:
        """A draw, and None where other families return a log density."""
        code_key, value_key = jax.random.split(key)
        return self.trained.decode(self.trained.prior(code_key)).sample(value_key), None

    def log_prob(self, value: PyTree) -> NoReturn:
        """Raises TypeError: the density is an integral."""
        raise TypeError(
            "the log density of what a second model draws was asked for, which is an integral over its codes; look at samples, "
            "or fit a density instead (vae.evaluation.fit_mixture)."
        )


def with_prior(trained: Trained, prior: Distribution) -> Trained:
    """A trained model with one latent group under another prior: sampled from it, and charged for it.

    prior: a density fitted to codes, such as `vae.evaluation.fit_mixture(codes, 10, seed=0)` (Ghosh et al. 2020,
           section 4), or `Generated` of a second model trained on codes (two-stage VAE, Dai & Wipf 2019, section 4).

    Encoder and decoder stay as they are. With a density every bound is one under the new prior, and `rates=log_ratio` is what
    it is charged by. Raises TypeError, when traced, for a model with another number of groups.
    """
    model = trained.model

    def within(params: Params) -> Params:
        return params | {"generative": params["generative"]["model"]}

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        draw_within = model.infer(within(params), state, x, context, settings)

        def draw(key: Key, values: tuple = ()) -> Trace:
            trace = draw_within(key, values)
            if len(trace.latents) != 1:
                raise TypeError(f"with_prior got a model with {len(trace.latents)} latent groups; wanted one.")
            return trace._replace(latents=(trace.latents[0]._replace(prior=params["generative"]["prior"]),))

        return draw

    def draw_prior(
        params: Params,
        state: PyTree,
        key: Key,
        context: PyTree = (),
        values: tuple = (),
        temperature: Float[Array, ""] | float = 1.0,
    ) -> tuple:
        kept = given(values, 0)
        return (sample_prior(params["generative"]["prior"], key, temperature) if kept is None else kept,)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Any:
        return model.decode(within(params), state, values, context)

    changed = model._replace(infer=infer, prior=draw_prior, decode=decode)
    params = trained.params | {"generative": {"model": trained.params["generative"], "prior": prior}}
    return trained.replace(model=changed, params=params)
