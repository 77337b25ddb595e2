"""One member of every family of `vae.distributions`, over three components where that can be: what a new family adds here
brings it the tests that hold for all."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vae import distributions as d
from vae.divergences import KL_TABLE
from vae.flows import masked_autoregressive

THREE, FACTOR, NORTH = jnp.array([0.3, 1.2, 0.7]), jnp.eye(3), jnp.array([0.0, 1.0, 0.0])


class Chain(NamedTuple):
    """Three classes, the logits of each a row of the parameters and, for the class before it, a half more."""

    shape: tuple[int, ...] = (3,)
    codes: int = 3

    def logits(self, params, value, context):
        before = jnp.concatenate([jnp.zeros((1, 3)), jax.nn.one_hot(value[:-1], 3)])
        return params + 0.5 * before

    def sample(self, params, key, context, temperature):
        drawn = jnp.zeros(3, jnp.int32)
        for place, own in enumerate(jax.random.split(key, 3)):
            logits = self.logits(params, drawn, context)[place]
            drawn = drawn.at[place].set(jax.random.categorical(own, logits / temperature).astype(jnp.int32))
        return drawn


FLOW = masked_autoregressive(3, hidden=(4,))
NORMAL = d.Normal(THREE, -THREE)
MEMBERS = {
    "Normal": NORMAL,
    "MultivariateNormal": d.MultivariateNormal(THREE, FACTOR),
    "LowRankNormal": d.LowRankNormal(THREE, FACTOR, THREE),
    "Laplace": d.Laplace(THREE, THREE),
    "Gamma": d.Gamma(THREE, THREE),
    "Beta": d.Beta(THREE, THREE),
    "Kumaraswamy": d.Kumaraswamy(THREE, THREE),
    "VonMises": d.VonMises(THREE, THREE),
    "VonMisesFisher": d.VonMisesFisher(NORTH, jnp.array(7.0)),
    "PowerSpherical": d.PowerSpherical(NORTH, jnp.array(7.0)),
    "UniformSphere": d.UniformSphere(3),
    "UniformCircle": d.UniformCircle((3,)),
    "Bernoulli": d.Bernoulli(THREE),
    "ContinuousBernoulli": d.ContinuousBernoulli(THREE),
    "Categorical": d.Categorical(FACTOR),
    "Autoregressive": d.Autoregressive(Chain(), FACTOR),
    "PointMass": d.PointMass(jnp.array([0, 2, 1])),
    "RelaxedBernoulli": d.RelaxedBernoulli(THREE, 0.5),
    "LogitRelaxedBernoulli": d.LogitRelaxedBernoulli(THREE, 0.5),
    "RelaxedCategorical": d.RelaxedCategorical(THREE, 0.5),
    "ExpRelaxedCategorical": d.ExpRelaxedCategorical(THREE, 0.5),
    "StraightThroughCategorical": d.StraightThroughCategorical(THREE, 0.5),
    "SpikeAndSlab": d.SpikeAndSlab(THREE, NORMAL),
    "Poisson": d.Poisson(THREE),
    "NegativeBinomial": d.NegativeBinomial(THREE, THREE),
    "ZeroInflated": d.ZeroInflated(d.Poisson(THREE), THREE),
    "DiscretisedLogistic": d.DiscretisedLogistic(THREE, THREE),
    "DiscretisedLogisticMixture": d.DiscretisedLogisticMixture(THREE, FACTOR, FACTOR),
    "OptimalSigmaNormal": d.OptimalSigmaNormal(THREE),
    "Dequantised": d.Dequantised(NORMAL),
    "Masked": d.Masked(NORMAL, THREE > 0),
    "Deterministic": d.Deterministic(THREE),
    "AtSample": d.AtSample(NORMAL),
    "Affine": d.Affine(NORMAL, THREE, jnp.exp(THREE)),
    "Mixed": d.Mixed((d.Normal(THREE[:2], -THREE[:2]), d.Bernoulli(THREE[2:])), ((0, 2), (1,))),
    "Mixture": d.Mixture(THREE, jax.vmap(d.Normal)(jnp.outer(THREE, 1.0 + NORTH), -FACTOR)),
    "MixtureOfExperts": d.MixtureOfExperts(
        jax.vmap(d.Normal)(jnp.outer(THREE, 1.0 + NORTH), -FACTOR), jnp.array([True, False, True])
    ),
    "Transformed": d.Transformed(NORMAL, FLOW, FLOW.init(jax.random.key(0))),
}
CLASSES = {name: kind for name, kind in vars(d).items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
"""Every family that the library exports, by name."""


def moved(member):
    """Another member of the family: vectors turned round by one place, a direction among them, other numbers doubled."""
    return jax.tree.map(lambda leaf: jnp.roll(leaf, 1) if jnp.ndim(leaf) == 1 else 2.0 * leaf, member)


KL_PAIRS = {f"{q.__name__}-{p.__name__}": (MEMBERS[q.__name__], moved(MEMBERS[p.__name__])) for q, p in KL_TABLE}
"""A pair of members for every row of the KL table."""
