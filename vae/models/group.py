"""One latent group of a model: drawn from its posterior, or scored at the value that was given for it."""

from jaxtyping import PyTree

from vae.distributions import AtSample, Autoregressive, Categorical
from vae.distributions.base import Distribution
from vae.types import Key, Latent


def latent_group(posterior: Distribution, prior: Distribution, key: Key, given: PyTree | None = None) -> Latent:
    """A group with z drawn from q(z | x), or with the z given, and log q(z) in either case: what `draw` of a model makes.

    posterior: q(z | x, parents in q).
    prior:     p(z | parents in p), in `AtSample` where those parents are drawn after this group.
    given:     the value to keep and score, such as `given(values, 0)`; None draws one.
    A posterior without a density, which has None for the log q of its draw, raises TypeError where a value is given.

    Inside the `infer` of a model with one group:

        >>> import jax, vae
        >>> def draw(key, values=()):
        ...     return latent_group(vae.standard_normal(2), vae.standard_normal(2), key, given(values, 0))
        >>> z = draw(jax.random.key(0))
        >>> bool(draw(jax.random.key(1), (z.value,)).log_q == z.log_q)
        True
    """
    value, log_q = posterior.sample_and_log_prob(key) if given is None else (given, posterior.log_prob(given))
    return Latent(posterior=posterior, prior=prior, value=value, log_q=log_q)


def given(values: tuple, index: int) -> PyTree | None:
    """The value given for group `index`, None for one that is to be drawn: `values` may be shorter than the groups.

    >>> given((None, 3.0), 1), given((None, 3.0), 0), given((), 1)
    (3.0, None, None)
    """
    return values[index] if len(values) > index else None


def classes_of(latent: Latent) -> int | None:
    """How many classes a group under a `Categorical` or `Autoregressive` prior has, None under another; shapes are enough.

    >>> import jax, jax.numpy as jnp
    >>> classes_of(latent_group(Categorical(jnp.zeros(3)), Categorical(jnp.zeros(3)), jax.random.key(0)))
    3
    """
    prior = latent.prior.base if isinstance(latent.prior, AtSample) else latent.prior
    if isinstance(prior, Autoregressive):
        return prior.network.codes
    return prior.logits.shape[-1] if isinstance(prior, Categorical) else None
