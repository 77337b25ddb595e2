"""The linear-Gaussian model: evidence and posterior are exact, which makes it the strongest cheap oracle there is."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions import Normal, standard_normal
from vae.models import given, latent_group
from vae.settings import Settings
from vae.types import Key, Model, Params, PyTree, Trace

LOADINGS = np.array([[0.9, 0.5], [-0.9, 0.5], [0.6, 0.3], [0.6, -0.3], [0.0, -0.6]])
NOISE = 0.7


def linear_gaussian(loadings: np.ndarray = LOADINGS, noise: float = NOISE) -> Model:
    """Probabilistic PCA with its exact posterior as the start of every parameter:

        p(z) = N(0, I),   p(x | z) = N(W z, s^2 I),   q(z | x) = N(V x, diag(std)^2),   V = std^2 W' / s^2

    loadings: W, (data, latent) with orthogonal columns, so that the exact posterior has independent components.
    noise:    s.
    Parameters: posterior {"weights": V, "log_std"}, generative {"loadings": W}.

    Raises ValueError for columns that are not orthogonal. (Tipping & Bishop 1999.)
    """
    square = loadings.T @ loadings
    if not np.allclose(square, np.diag(np.diagonal(square)), atol=1e-6):
        raise ValueError("linear_gaussian got loadings whose columns are not orthogonal; wanted W'W diagonal.")
    precision = 1.0 + np.diagonal(square) / noise**2
    data, latent = loadings.shape

    def init(key: Key) -> tuple[Params, PyTree]:
        weights = jnp.asarray(loadings.T / noise**2 / precision[:, None], jnp.float32)
        posterior = {"weights": weights, "log_std": jnp.asarray(-0.5 * np.log(precision), jnp.float32)}
        return {"posterior": posterior, "generative": {"loadings": jnp.asarray(loadings, jnp.float32)}}, ()

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings):
        q = Normal(mean=params["posterior"]["weights"] @ x, log_std=params["posterior"]["log_std"])

        def draw(key: Key, values: tuple = ()) -> Trace:
            group = latent_group(q, standard_normal(latent), key, given(values, 0))
            return Trace(likelihood=decode(params, state, (group.value,), context), latents=(group,))

        return draw

    def prior(params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature=1.0) -> tuple:
        return values if given(values, 0) is not None else (temperature * standard_normal(latent).sample(key),)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Normal:
        mean = params["generative"]["loadings"] @ values[0]
        return Normal(mean=mean, log_std=jnp.full((data,), jnp.log(noise)))

    return Model(init, infer, prior, decode, lambda state, statistics, key: state)


def linear_gaussian_evidence(x: np.ndarray, loadings: np.ndarray = LOADINGS, noise: float = NOISE) -> np.ndarray:
    """log p(x) = log N(x; 0, W W' + s^2 I) per example, in float64; nats."""
    from scipy.stats import multivariate_normal

    covariance = loadings @ loadings.T + noise**2 * np.eye(len(loadings))
    return np.atleast_1d(multivariate_normal(np.zeros(len(loadings)), covariance).logpdf(np.asarray(x, np.float64)))


def linear_gaussian_data(key: Key, examples: int, loadings: np.ndarray = LOADINGS, noise: float = NOISE) -> Float[Array, "n d"]:
    """Draws from p(x)."""
    z_key, x_key = jax.random.split(key)
    z = jax.random.normal(z_key, (examples, loadings.shape[1]))
    return z @ jnp.asarray(loadings.T, jnp.float32) + noise * jax.random.normal(x_key, (examples, loadings.shape[0]))
