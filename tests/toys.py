"""Tiny models for the hard cases of the contract, and linear-Gaussian ones whose evidence is exact.

Each is a plain `Model`, written as a user would write one, so that the train step is what is tested.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal

from vae.distributions import AtSample, Bernoulli, Categorical, Normal, PointMass, standard_normal
from vae.models import given, latent_group
from vae.priors import sample_prior
from vae.types import Model, Trace

LOADINGS = np.array([[1.2, 0.5], [-0.8, 0.75], [0.5, -0.9], [0.0, 0.4]])
LOADINGS[:, 1] -= LOADINGS[:, 0] * (LOADINGS[:, 0] @ LOADINGS[:, 1]) / (LOADINGS[:, 0] @ LOADINGS[:, 0])
NOISE = 0.6


def keep(state, statistics, key):
    return state


def linear_gaussian() -> Model:
    """p(z) = N(0, I_2), p(x | z) = N(W z, s^2 I_4), W with orthogonal columns, so the exact posterior is diagonal."""
    precision = 1.0 + (LOADINGS**2).sum(axis=0) / NOISE**2

    def init(key):
        posterior = {
            "weights": jnp.asarray(LOADINGS.T / NOISE**2 / precision[:, None], jnp.float32),
            "log_std": jnp.asarray(-0.5 * np.log(precision), jnp.float32),
        }
        return {"posterior": posterior, "generative": {"loadings": jnp.asarray(LOADINGS, jnp.float32)}}, ()

    def infer(params, state, x, context, settings):
        q = Normal(mean=params["posterior"]["weights"] @ x, log_std=params["posterior"]["log_std"])

        def draw(key, values=()):
            z = latent_group(q, standard_normal(2), key, given(values, 0))
            return Trace(likelihood=decode(params, state, (z.value,), context), latents=(z,))

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        return (sample_prior(standard_normal(2), key, temperature) if given(values, 0) is None else values[0],)

    def decode(params, state, values, context):
        return Normal(mean=params["generative"]["loadings"] @ values[0], log_std=jnp.full((4,), jnp.log(NOISE)))

    return Model(init, infer, prior, decode, keep)


def linear_gaussian_evidence(x: np.ndarray) -> np.ndarray:
    """log N(x; 0, W W' + s^2 I), by SciPy."""
    return multivariate_normal(np.zeros(4), LOADINGS @ LOADINGS.T + NOISE**2 * np.eye(4)).logpdf(x)


# Two groups: p(z2) = N(0, 1), p(z1 | z2) = N(A z2, T^2), p(x | z1) = N(z1, S^2), all scalars.
A, T, S = 0.9, 0.7, 0.5


def two_group_evidence(x: np.ndarray) -> np.ndarray:
    return multivariate_normal(0.0, A**2 + T**2 + S**2).logpdf(x)


def gaussian_product(mean_1, variance_1, mean_2, variance_2):
    """Mean and variance of the product of two Gaussian densities."""
    variance = 1.0 / (1.0 / variance_1 + 1.0 / variance_2)
    return variance * (mean_1 / variance_1 + mean_2 / variance_2), variance


def scalar_normal(mean, variance) -> Normal:
    mean = jnp.asarray(mean).reshape(1)
    return Normal(mean=mean, log_std=jnp.full((1,), 0.5 * np.log(variance)))


def two_groups(bottom_up: bool) -> Model:
    """The exact posterior in either order; latents in ancestral order (z2, z1)."""
    marginal = A**2 + T**2
    _, z1_variance = gaussian_product(0.0, marginal, 0.0, S**2)
    _, z2_given_z1 = gaussian_product(0.0, 1.0, 0.0, T**2 / A**2)
    _, z2_given_x = gaussian_product(0.0, 1.0, 0.0, (T**2 + S**2) / A**2)
    _, z1_given_both = gaussian_product(0.0, T**2, 0.0, S**2)

    def init(key):
        if bottom_up:
            posterior = {"z1": jnp.array(z1_variance / S**2), "z2": jnp.array(z2_given_z1 * A / T**2)}
        else:
            posterior = {
                "z2": jnp.array(z2_given_x * A / (T**2 + S**2)),
                "z1": jnp.array([z1_given_both * A / T**2, z1_given_both / S**2]),
            }
        return {"posterior": posterior, "generative": {"slope": jnp.array(A)}}, ()

    def prior_of_z1(params, z2):
        return scalar_normal(params["generative"]["slope"] * z2, T**2)

    def infer(params, state, x, context, settings):
        posterior = params["posterior"]

        def draw(key, values=()):
            key_1, key_2 = jax.random.split(key)
            if bottom_up:
                q1 = scalar_normal(posterior["z1"] * x, z1_variance)
                z1 = latent_group(q1, standard_normal(1), key_1, given(values, 1))
                z2 = latent_group(
                    scalar_normal(posterior["z2"] * z1.value, z2_given_z1), standard_normal(1), key_2, given(values, 0)
                )
                z1 = z1._replace(prior=AtSample(prior_of_z1(params, z2.value)))
            else:
                z2 = latent_group(scalar_normal(posterior["z2"] * x, z2_given_x), standard_normal(1), key_2, given(values, 0))
                mean = posterior["z1"][0] * z2.value + posterior["z1"][1] * x
                q1 = scalar_normal(mean, z1_given_both)
                z1 = latent_group(q1, prior_of_z1(params, z2.value), key_1, given(values, 1))
            return Trace(likelihood=decode(params, state, (z2.value, z1.value), context), latents=(z2, z1))

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        key_1, key_2 = jax.random.split(key)
        z2 = sample_prior(standard_normal(1), key_2, temperature) if given(values, 0) is None else values[0]
        return z2, sample_prior(prior_of_z1(params, z2), key_1, temperature) if given(values, 1) is None else values[1]

    def decode(params, state, values, context):
        return scalar_normal(values[1], S**2)

    return Model(init, infer, prior, decode, keep)


def vector_quantised(codes: int = 5, dim: int = 2, priced: bool = False) -> Model:
    """One code for an example of four numbers; the codebook is a moving average in the state, not a parameter.

    priced: whether the code is a latent group, so that it costs log(codes) nats and a bound exists.
    """

    def init(key):
        keys = jax.random.split(key, 3)
        params = {
            "posterior": {"encoder": 0.5 * jax.random.normal(keys[0], (dim, 4))},
            "generative": {"decoder": 0.5 * jax.random.normal(keys[1], (4, dim))},
        }
        codebook = jax.random.normal(keys[2], (codes, dim))
        return params, {"count": jnp.ones(codes), "total": codebook}

    def codebook(state):
        return state["total"] / state["count"][:, None]

    def infer(params, state, x, context, settings):
        encoded = params["posterior"]["encoder"] @ x
        distances = jnp.sum(jnp.square(codebook(state) - encoded[None]), axis=1)
        chosen = jnp.argmin(distances)

        def draw(key, values=()):
            group = latent_group(PointMass(chosen), Categorical(jnp.zeros(codes)), key, given(values, 0) if priced else None)
            index = group.value
            code = codebook(state)[index]
            passed = encoded + jax.lax.stop_gradient(code - encoded)
            assignment = jax.nn.one_hot(index, codes)
            return Trace(
                likelihood=decoded(params, passed),
                latents=(group,) if priced else (),
                penalty=0.25 * jnp.sum(jnp.square(encoded - jax.lax.stop_gradient(code))),
                statistics={"count": assignment, "total": jnp.outer(assignment, encoded)},
            )

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        index = jax.random.randint(key, (), 0, codes)
        return (given(values, 0) if given(values, 0) is not None else index if priced else codebook(state)[index],)

    def decode(params, state, values, context):
        return decoded(params, codebook(state)[values[0]] if priced else values[0])

    def decoded(params, code):
        return Normal(mean=params["generative"]["decoder"] @ code, log_std=jnp.zeros(4))

    def update(state, statistics, key):
        summed = jax.tree.map(lambda leaf: leaf.sum(axis=0), statistics)
        return jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, state, summed)

    return Model(init, infer, prior, decode, update)


def labelled(classes: int = 3) -> Model:
    """A label y and a code z: q(y | x) q(z | x, y), p(y) p(z) p(x | y, z); either may be given."""

    def init(key):
        keys = jax.random.split(key, 3)
        posterior = {"label": jax.random.normal(keys[0], (classes, 4)), "code": jax.random.normal(keys[1], (2, 4 + classes))}
        return {"posterior": posterior, "generative": {"decoder": jax.random.normal(keys[2], (4, 2 + classes))}}, ()

    def infer(params, state, x, context, settings):
        def draw(key, values=()):
            label_key, code_key = jax.random.split(key)
            uniform = Categorical(jnp.zeros(classes))
            y = latent_group(Categorical(params["posterior"]["label"] @ x), uniform, label_key, given(values, 0))
            mean = params["posterior"]["code"] @ jnp.concatenate([x, jax.nn.one_hot(y.value, classes)])
            z = latent_group(Normal(mean=mean, log_std=jnp.full((2,), -1.0)), standard_normal(2), code_key, given(values, 1))
            return Trace(likelihood=decode(params, state, (y.value, z.value), context), latents=(y, z))

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        label_key, code_key = jax.random.split(key)
        y = Categorical(jnp.zeros(classes)).sample(label_key) if given(values, 0) is None else values[0]
        return y, sample_prior(standard_normal(2), code_key, temperature) if given(values, 1) is None else values[1]

    def decode(params, state, values, context):
        return Bernoulli(params["generative"]["decoder"] @ jnp.concatenate([values[1], jax.nn.one_hot(values[0], classes)]))

    return Model(init, infer, prior, decode, keep)
