"""Posteriors whose draws follow Hamiltonian dynamics towards the true posterior, around any model with one latent group."""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import (
    Distribution,
    SpikeAndSlab,
    UniformCircle,
    UniformSphere,
    distribution,
    is_continuous,
    static_field,
)
from vae.distributions.base import DataSpace, is_density, is_reparameterised, of_base
from vae.dynamics import LogDensity, leapfrog, phase_point
from vae.models.group import given, latent_group
from vae.models.presets import mlp
from vae.requirements import require
from vae.settings import Settings
from vae.spec import Data
from vae.types import PRIOR_ENCODER, Key, Latent, Model, Params, PyTree, Trace

NOT_EUCLIDEAN = SpikeAndSlab, UniformCircle, UniformSphere
"""Priors that are no density over all real vectors, along which nothing can move freely."""


@distribution
class Hamiltonian:
    """Draws of `base`, moved by leapfrog steps through a log density f, with momenta that are cooled down on the way.

        z_0 ~ base,  r_0 = s n,  n ~ N(0, I);    K times: a leapfrog step, then r <- r c_k;    z = z_K

        c_k = t_k / t_(k-1),   t_k = s + (1 - s) (k / K)^2,   so that t_0 = s >= 1 and t_K = 1

    Leapfrog steps keep volume and the scales of the momenta cancel, so that (z_K, r_K) has the density base(z_0) N(n; 0, I):

        log q of the own draw = log base(z_0) + log N(n; 0, I) - log N(r_K; 0, I),    E[p(z_K) / q] = 1 for every density p

    in which the momentum is an auxiliary variable: it is no density of z alone, and there is none at another value.

    base:      q_0, over real vectors (n,).
    target:    log f, such as z -> log p(x, z); None where the posterior has left the `draw` that knows it.
    step_size: of each dimension, (n,) or ().
    heat:      s = 1 / sqrt(beta_0), at least 1, where 1 is no tempering.
    steps:     K.
    (Caterini et al. 2018, algorithm 1 and equation 11.)
    """

    base: Distribution
    target: LogDensity | None
    step_size: Float[Array, "*n"] | float
    heat: Float[Array, ""] | float = 1.0
    steps: int = static_field(default=3)

    data_space: ClassVar[DataSpace] = "real"
    reparameterised = of_base(is_reparameterised)
    is_density = of_base(is_density)
    own_draws_only: ClassVar[bool] = True

    def moved(self, position: Float[Array, "n"], noise: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
        """(z_0, n) -> (z_K, r_K), a map that keeps volume. Raises TypeError where the target is not known."""
        if self.target is None:
            raise TypeError(
                "a Hamiltonian posterior was asked for draws outside of its model, where the log density that they follow is "
                "not known; use the value of the model's trace."
            )
        heats = self.heat + (1.0 - self.heat) * jnp.square(jnp.arange(self.steps + 1) / self.steps)
        point = phase_point(self.target, position, self.heat * noise)
        for before, after in itertools.pairwise(heats):
            point = leapfrog(self.target, point, self.step_size, 1)
            point = point._replace(momentum=point.momentum * after / before)
        return point.position, point.momentum

    def sample(self, key: Array) -> Float[Array, "n"]:
        """z_K."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """z_K and the log q of its own draw, in nats."""
        base_key, noise_key = jax.random.split(key)
        start, log_base = self.base.sample_and_log_prob(base_key)
        noise = jax.random.normal(noise_key, jnp.shape(start))
        end, momentum = self.moved(start, noise)
        return end, log_base + 0.5 * (jnp.sum(jnp.square(momentum)) - jnp.sum(jnp.square(noise)))

    def log_prob(self, value: PyTree) -> NoReturn:
        """Raises TypeError: of z alone there is no density."""
        raise TypeError(
            "a Hamiltonian posterior was asked for its density at a given value, but it has one only at its own draw, with the "
            "momentum of it; use elbo(rates=log_ratio), or importance_weighted with the estimator `reparameterised`."
        )


def hamiltonian_posterior(
    model: Model, latent_dim: int, steps: int = 3, step_size: float = 0.1, largest_step: float = 0.5, heat: float = 1.5
) -> Model:
    """A model whose posterior draws take leapfrog steps along log p(x, z); charge it with `objectives.log_ratio`.

    model:        any with one latent group of real vectors; what stands around it (masks, units) is in the density followed.
    steps:        K, static.
    step_size:    where the step size of every dimension starts; it is learned, up to `largest_step`.
    heat:         where 1 / sqrt(beta_0) starts; it is learned too, and stays above 1.

    Parameters: those of the model's posterior at "base", of the dynamics at "dynamics", all the posterior's. The gradient goes
    through the gradients of log p(x, z), so that a step costs about 2 K more passes through the decoder.

    Raises ValueError for numbers out of range; when traced, TypeError for a model with another number of groups, for one that
    is no real vector, and for a prior or posterior without a density along which it could move. (Caterini et al. 2018.)
    """
    require(isinstance(steps, int) and steps >= 1, f"steps is {steps}; wanted at least 1 leapfrog step.")
    require(
        0 < step_size < largest_step and heat > 1,
        f"step_size is {step_size}, largest_step {largest_step} and heat {heat}; wanted a step size between 0 and the largest, "
        "and a heat above 1.",
    )
    inverse = {"step_size": jnp.log(step_size / (largest_step - step_size)), "heat": jnp.log(jnp.expm1(heat - 1.0))}

    def init(key: Key) -> tuple[Params, PyTree]:
        params, state = model.init(key)
        dynamics = {"step_size": jnp.full((latent_dim,), inverse["step_size"]), "heat": jnp.asarray(inverse["heat"])}
        return params | {"posterior": {"base": params["posterior"], "dynamics": dynamics}}, state

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        draw_base = model.infer(of_base_model(params), state, x, context, settings)
        dynamics = params["posterior"]["dynamics"]

        def draw(key: Key, values: tuple = ()) -> Trace:
            move_key, model_key = jax.random.split(key)
            group = require_movable(draw_base(model_key))
            posterior = Hamiltonian(
                base=group.posterior,
                target=partial(log_joint, draw_base, model_key, x),
                step_size=largest_step * jax.nn.sigmoid(dynamics["step_size"]),
                heat=1.0 + jax.nn.softplus(dynamics["heat"]),
                steps=steps,
            )
            moved = latent_group(posterior, group.prior, move_key, given(values, 0))
            trace = draw_base(model_key, (moved.value,))
            left = dataclasses.replace(posterior, target=None)
            return trace._replace(latents=(moved._replace(posterior=left),))

        return draw

    def prior(params: Params, *arguments: Any, **options: Any) -> tuple:
        return model.prior(of_base_model(params), *arguments, **options)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree) -> Distribution:
        return model.decode(of_base_model(params), state, values, context)

    return model._replace(init=init, infer=infer, prior=prior, decode=decode)


def log_joint(draw: Callable[..., Trace], key: Key, x: PyTree, z: Float[Array, "n"]) -> Float[Array, ""]:
    """log p(x, z) in nats, of the model behind `draw`; `key` is that of a stochastic decoder."""
    trace = draw(key, (z,))
    return trace.likelihood.log_prob(x) + trace.latents[0].prior.log_prob(z)


def of_base_model(params: Params) -> Params:
    """The parameters as the model inside knows them."""
    held = [name for name in ("posterior", PRIOR_ENCODER) if name in params]
    return params | {name: params[name]["base"] for name in held}


def require_movable(trace: Trace) -> Latent:
    """The one group of a trace, refused where its values cannot move along the gradient of a density."""
    if len(trace.latents) != 1:
        raise TypeError(f"hamiltonian_posterior got a model with {len(trace.latents)} latent groups; wanted one.")
    (group,) = trace.latents
    if group.log_q is None or not is_continuous(group.posterior) or isinstance(group.prior, NOT_EUCLIDEAN):
        raise TypeError(
            f"hamiltonian_posterior got the posterior {type(group.posterior).__name__} with the prior "
            f"{type(group.prior).__name__}; wanted densities over all real vectors, such as Normal."
        )
    return group


def hamiltonian_mlp(data: Data, latent_dim: int = 20, *, steps: int = 3, step_size: float = 0.1, **arguments: Any) -> Model:
    """The model of `mlp`, which takes the other arguments, with a Hamiltonian posterior; see `hamiltonian_posterior`."""
    return hamiltonian_posterior(mlp(data, latent_dim, **arguments), latent_dim, steps, step_size)
