"""Priors p(z) and p(z | c), as parameters and a function of them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions import (
    Autoregressive,
    Categorical,
    Distribution,
    Laplace,
    Mixture,
    Normal,
    SpikeAndSlab,
    StraightThroughCategorical,
    Transformed,
    UniformCircle,
    UniformSphere,
    standard_normal,
    vamp_prior,
)
from vae.distributions.categorical import at_temperature
from vae.flows import Flow
from vae.networks.causal import CodeNetwork
from vae.requirements import require_function_of_inputs
from vae.spec import given_of
from vae.types import Family, Key, Network, Prior, PyTree


def fixed(distribution: Distribution) -> Prior:
    """A prior without parameters."""
    return Prior(init=lambda key: {}, build=lambda params, context, encode: distribution)


def normal(latent_dim: int) -> Prior:
    """The standard normal N(0, I)."""
    return fixed(standard_normal(latent_dim))


def laplace(latent_dim: int) -> Prior:
    """Laplace(0, 1) in every dimension."""
    return fixed(Laplace(mean=jnp.zeros(latent_dim), log_scale=jnp.zeros(latent_dim)))


def uniform_sphere(latent_dim: int) -> Prior:
    """The uniform distribution on the unit sphere of R^n."""
    return fixed(UniformSphere(latent_dim))


def uniform_circle(latent_dim: int) -> Prior:
    """n independent angles, each uniform on the circle."""
    return fixed(UniformCircle((latent_dim,)))


def spike_and_slab(latent_dim: int, used: float = 0.2) -> Prior:
    """Each dimension N(0, 1) with probability `used`, else exactly zero."""
    logits = jnp.full((latent_dim,), jnp.log(used) - jnp.log1p(-used))
    return fixed(SpikeAndSlab(spike_logits=logits, slab=standard_normal(latent_dim)))


def categorical(latent_dim: int, classes: int = 10) -> Prior:
    """n variables, each uniform over K classes, one-hot."""
    return fixed(StraightThroughCategorical(logits=jnp.zeros((latent_dim, classes)), temperature=jnp.ones(())))


def uniform_codes(shape: Sequence[int], codes: int) -> Prior:
    """Codes on a grid, each of K alike, as integers: log K nats each. (van den Oord et al. 2017, section 3.1.)"""
    return fixed(Categorical(jnp.zeros((*shape, codes))))


def independent_codes(shape: Sequence[int], codes: int) -> Prior:
    """Codes on a grid, each with learned probabilities of its own place: what they cost without a word of the others."""

    def build(params, context, encode):
        return Categorical(params["logits"])

    return Prior(init=lambda key: {"logits": jnp.zeros((*shape, codes))}, build=build)


def autoregressive(network: CodeNetwork) -> Prior:
    """Codes on a grid, each given those before and the context: `Autoregressive`. (van den Oord et al. 2017, section 3.3.)"""

    def build(params, context, encode):
        return Autoregressive(network, params, given_of(context))

    return Prior(init=network.init, build=build)


def mixture(latent_dim: int, components: int = 10, spread: float = 1.0) -> Prior:
    """A mixture of Gaussians whose weights, means and scales are learned; charge it with `objectives.log_ratio`."""

    def init(key: Key) -> dict:
        shape = (components, latent_dim)
        return {"logits": jnp.zeros(components), "mean": spread * jax.random.normal(key, shape), "log_std": jnp.zeros(shape)}

    def build(params, context, encode):
        return Mixture(logits=params["logits"], components=jax.vmap(Normal)(params["mean"], params["log_std"]))

    return Prior(init=init, build=build)


def vamp(
    shape: Sequence[int],
    components: int = 500,
    squash: Callable[[Array], Array] = jax.nn.sigmoid,
    start: float = -1.0,
) -> Prior:
    """The mixture of the posteriors at learned pseudo-inputs, encoded once per step; charge it with `objectives.log_ratio`.

        p(z) = sum_k w_k q(z | squash(u_k))

    shape:  of one example as the encoder sees it.
    squash: brings a pseudo-input to where examples lie; by default into (0, 1), as pixels are.
    start:  the mean of the u at the beginning, their standard deviation is 1.
    (Tomczak & Welling 2018, eq. 9.)
    """

    def init(key: Key) -> dict:
        return {"pseudo_inputs": jax.random.normal(key, (components, *shape)) + start, "logits": jnp.zeros(components)}

    def build(params, context, encode):
        return vamp_prior(encode, squash(params["pseudo_inputs"]), params["logits"])

    return Prior(init=init, build=build)


def flow(latent_dim: int, bijection: Flow) -> Prior:
    """A standard normal pushed through a learned flow; charge it with `objectives.log_ratio`."""

    def build(params, context, encode):
        return Transformed(standard_normal(latent_dim), bijection, params)

    return Prior(init=bijection.init, build=build)


def conditional(network: Network, family: Family, context: PyTree) -> Prior:
    """p(z | c): a network of the context says where the latents lie before x is seen. (Sohn et al. 2015, section 3.)

    network: of the context to `family.outputs` numbers, with nothing carried from step to step and nothing drawn.
    family:  such as `vae.posteriors.normal(n)`; with a posterior of the same family the KL has its closed form.
    context: shapes of what one example is conditioned on, `data.context`. A mask of what is missing is not seen.

    >>> shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    >>> prior = conditional(vae.networks.mlp((8,), (4,)), vae.posteriors.normal(2), shape)
    >>> prior.build(prior.init(jax.random.key(0)), jnp.ones(3), None).mean.shape
    (2,)

    Raises ValueError for no context, and for a network that draws or carries a state.
    """
    given = given_of(context)
    if not jax.tree.leaves(given):
        raise ValueError(
            "priors.conditional got no context; wanted data that are conditioned on something: image_splits(..., "
            "conditional=True), array_splits(..., context=...), or priors.normal for a prior without."
        )
    require_function_of_inputs("priors.conditional", network, given)

    def init(key: Key) -> dict:
        params = {"network": network.init(key, given)[0]}
        return params if family.init is None else {**params, "family": family.init(jax.random.fold_in(key, 1))}

    def build(params, context, encode):
        outputs, _ = network.apply(params["network"], {}, given_of(context))
        return family.build(outputs, *(() if family.init is None else (params["family"],)))

    return Prior(init=init, build=build)


def tempered(prior: Distribution, temperature) -> Distribution:
    """The prior at a temperature T: for a Gaussian N(mean, (T std)^2), for classes p^(1 / T), each given those before.

    At 0 it gives the mean of a Gaussian, and the most probable of classes. Raises ValueError for a negative one, TypeError for
    another family at a temperature other than 1, where there is no such convention to follow.
    """
    if isinstance(temperature, int | float) and temperature < 0:
        raise ValueError(f"the temperature is {temperature}; wanted 0 or more.")
    if isinstance(temperature, (int, float)) and temperature == 1:
        return prior
    if isinstance(prior, Normal):
        return Normal(mean=prior.mean, log_std=prior.log_std + jnp.log(temperature))
    if isinstance(prior, Categorical):
        return Categorical(at_temperature(prior.logits, temperature), prior.data_space)
    if isinstance(prior, Autoregressive):
        return prior.at_temperature(temperature)
    raise TypeError(
        f"a temperature of {temperature} was asked of a {type(prior).__name__} prior; only Normal, Categorical and "
        "Autoregressive have one: use 1."
    )


def temperature_of(temperature: Any, group: int, groups: int) -> Any:
    """The temperature of one of several groups, of a number for all of them or a sequence with one for each.

    >>> temperature_of((1.0, 0.7), 1, 2), temperature_of(0.5, 1, 2)
    (0.7, 0.5)

    Raises ValueError for another number of them than groups.
    """
    if not isinstance(temperature, Sequence) and jnp.ndim(temperature) == 0:
        return temperature
    if len(temperature) != groups:
        raise ValueError(f"got {len(temperature)} temperatures for a model with {groups} latent groups; wanted one for each.")
    return temperature[group]


def sample_prior(prior: Distribution, key: Key, temperature=1.0) -> jax.Array:
    """One draw at a temperature; see `tempered`."""
    return tempered(prior, temperature).sample(key)
