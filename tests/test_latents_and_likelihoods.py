"""Every latent family and every likelihood, by name, through the real train step."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae import models, priors
from vae.distributions import is_density, standard_normal
from vae.models.choices import LATENTS, LIKELIHOODS
from vae.objectives import analytic, elbo, log_ratio, no_rate
from vae.spaces import DataSpace, is_likelihood
from vae.spec import Column, Data
from vae.training.state import initial_state
from vae.training.step import make_train_step
from vae.types import Batch

SHAPE = (4, 3, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype(np.uint8)
BINARY = jnp.asarray(PIXELS > 127, jnp.float32)
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}  # one step of it is all we run
COLUMNS = (
    Column("smoker", "binary"),
    Column("weight", "real"),
    Column("town", "tokens", ("Oslo", "Rome", "Lima")),
    Column("visits", "count"),
    Column("never", "count"),
)
ROWS = jnp.array([[1.0, -30.0, 2.0, 7.0, 0.0], [0.0, 5.0, 0.0, 0.0, 1.0]])
OF_THEIR_OWN = {
    "tokens": (Data(SHAPE, "tokens", tokens=256), jnp.asarray(PIXELS, jnp.int32)),
    "mixed": (Data((5,), "mixed", columns=COLUMNS), ROWS),
}
"""Data without which a likelihood cannot be made."""
SAMPLED = {"inverse_autoregressive", "normal_mixture", "normal_flow", "normal_vamp", "spike_and_slab_vamp"}  # no closed form
POINTS = {"deterministic"}  # no density, so that nothing can be charged


def some_state(model, objective, optimiser):
    """A train state of the right structure with small numbers in it; compiling the initialisation would double the time."""
    key = jax.random.key(0)
    structure = jax.eval_shape(lambda: initial_state(model, objective, optimiser, key))
    draw = np.random.default_rng(0)

    def fill(leaf):
        return jnp.asarray(0.3 * draw.standard_normal(leaf.shape), leaf.dtype)

    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), structure._replace(key=(), params=()))
    return zeros._replace(key=key, params=jax.tree.map(fill, structure.params))


def one_step(model, x, rates):
    optimiser, objective = optax.sgd(1e-2), elbo(rates)
    before = some_state(model, objective, optimiser)
    batch = Batch(x=x, context=(), weight=jnp.ones(len(x)))
    after, metrics = jax.jit(make_train_step(model, objective, optimiser)).lower(before, batch).compile(QUICKLY)(before, batch)
    moved = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), before.params, after.params)
    return metrics, moved


@pytest.mark.slow_but("categorical", "power_spherical", "normal")
@pytest.mark.parametrize("latents", sorted(LATENTS))
def test_every_latent_family_trains(latents):
    model = models.mlp(Data(SHAPE, "binary"), latent_dim=3, hidden=[8], latents=latents)
    rates = no_rate if latents in POINTS else log_ratio if latents in SAMPLED else analytic
    metrics, moved = one_step(model, BINARY, rates)
    assert np.isfinite(metrics["log_likelihood"])
    assert metrics["skipped"] == 0
    assert latents in SAMPLED | POINTS or metrics["kl"] >= 0
    assert all(jax.tree.leaves(moved["generative"]["decoder"]))
    assert any(jax.tree.leaves(moved["posterior"]))


@pytest.mark.slow_but("mixed", "negative_binomial")
@pytest.mark.parametrize("likelihood", sorted(set(LIKELIHOODS) - {"bernoulli"}))
def test_every_likelihood_trains(likelihood):
    data, x = OF_THEIR_OWN.get(likelihood, (Data(SHAPE, "real"), None))
    model = models.mlp(data, latent_dim=2, hidden=[8], likelihood=likelihood)
    space = jax.eval_shape(lambda key: model.decode(*model.init(key), (jnp.zeros(2),), ()), jax.random.key(0)).data_space
    pixels = jnp.asarray(PIXELS) if space == "uint8" else jnp.asarray(PIXELS / 255.0, jnp.float32)
    metrics, moved = one_step(model, pixels if x is None else x, analytic)
    assert np.isfinite(metrics["elbo"])
    assert metrics["skipped"] == 0
    assert any(jax.tree.leaves(moved["generative"]["decoder"]))
    assert all(jax.tree.leaves(moved["generative"].get("likelihood", ())))


SPEC = Data(SHAPE, "real", mean=jnp.full(SHAPE, 0.3), tokens=256, columns=COLUMNS)


@pytest.mark.parametrize("space", get_args(DataSpace))
def test_the_data_choose_a_likelihood_of_them(space):
    shape = (len(COLUMNS),) if space == "mixed" else SHAPE
    data = SPEC._replace(space=space, shape=shape, mean=jnp.full(shape, 0.3), columns=COLUMNS if space == "mixed" else ())
    likelihood = jax.eval_shape(lambda: decoded(models.mlp(data, latent_dim=2, hidden=[8])))
    assert is_likelihood(space, likelihood.data_space)
    assert is_density(likelihood)


def decoded(model, context=()):
    """p(x | z = 0) of a model that has just been initialised, whose biases are all there is."""
    return model.decode(*model.init(jax.random.key(0)), (jnp.zeros(2),), context)


def test_a_new_model_starts_at_the_mean_of_the_data_in_every_column():
    mean = jnp.array([0.2, 30.0, 0.6, 12.0, 0.0])
    data = Data((5,), "mixed", mean=mean, scale=jnp.array([1.0, 5.0, 1.0, 1.0, 1.0]), columns=COLUMNS)
    likelihood = decoded(models.mlp(data, latent_dim=2, hidden=[8]))
    np.testing.assert_allclose(likelihood.mean, [0.2, 30.0, 1.0, 12.0, 1e-3], rtol=1e-4)
    assert decoded(models.mlp(data._replace(mean=None), latent_dim=2, hidden=[8])).mean.shape == (5,)


@pytest.mark.parametrize("likelihood", ["normal", "laplace"])
def test_a_given_std_is_the_std(likelihood):
    for std, expected in ((0.1, 0.1), (None, {"normal": 1.0, "laplace": np.sqrt(2.0)}[likelihood])):
        made = decoded(models.mlp(Data(SHAPE, "real"), latent_dim=2, hidden=[8], likelihood=likelihood, std=std))
        np.testing.assert_allclose(np.sqrt(made.variance), np.full(SHAPE, expected), rtol=1e-5)
    data = Data(SHAPE, "real", mean=jnp.zeros(SHAPE), scale=jnp.full(SHAPE, 3.0))
    made = decoded(models.convolutional(data, latent_dim=2, widths=(4,), likelihood=likelihood, std=0.1))
    np.testing.assert_allclose(np.sqrt(made.variance), np.full(SHAPE, 0.3), rtol=1e-5)


def test_a_std_that_cannot_be_given_is_refused():
    with pytest.raises(ValueError, match=r"std is 0\.1, but the likelihood has none to be given; .* normal, laplace"):
        models.mlp(Data(SHAPE, "binary"), std=0.1)
    with pytest.raises(ValueError, match=r"std is -1\.0; wanted a positive number"):
        models.mlp(Data(SHAPE, "real"), likelihood="normal", std=-1.0)


def test_vamp_prior_encodes_its_pseudo_inputs_once_per_step():
    """The encoder's product with K pseudo-inputs appears without a batch axis, however many examples there are."""
    from vae import likelihoods, networks, posteriors

    posterior, family = posteriors.normal(2), likelihoods.bernoulli(SHAPE)
    model = models.variational_autoencoder(
        encoder=networks.mlp((8,), posterior.outputs),
        decoder=networks.mlp((8,), family.outputs),
        posterior=posterior,
        prior=priors.vamp(SHAPE, components=5),
        likelihood=family,
        data=Data(SHAPE, "binary"),
    )
    optimiser, objective = optax.sgd(1.0), elbo(log_ratio)
    state = some_state(model, objective, optimiser)
    batch = Batch(x=BINARY, context=(), weight=jnp.ones(len(BINARY)))
    traced = jax.jit(make_train_step(model, objective, optimiser)).trace(state, batch)
    after, metrics = traced.lower().compile(QUICKLY)(state, batch)
    assert np.isfinite(metrics["elbo"])
    priors_moved = jax.tree.map(lambda a, b: np.any(a != b), state.params["generative"], after.params["generative"])["prior"]
    assert all(jax.tree.leaves(priors_moved))
    text = str(traced.jaxpr)
    assert "f32[5,8]" in text
    assert "f32[6,5,8]" not in text
    assert "f32[5,6,8]" not in text


def test_temperature_scales_a_gaussian_prior_and_nothing_else():
    prior = standard_normal(2)
    assert priors.tempered(prior, 1) is prior
    np.testing.assert_allclose(priors.tempered(prior, 0.5).std, 0.5, rtol=1e-6)
    mixture = priors.mixture(2)
    with pytest.raises(TypeError, match="have one: use 1"):
        priors.tempered(mixture.build(mixture.init(jax.random.key(0)), (), None), 0.5)


def test_unknown_names_list_the_known_ones():
    for name, known in (("likelihood", "bernoulli"), ("latents", "von_mises_fisher"), ("activation", "tanh")):
        with pytest.raises(ValueError, match=f"{name} is 'nothing'.*{known}"):
            models.mlp(Data(SHAPE, "binary"), **{name: "nothing"})
    with pytest.raises(ValueError, match="latent_dim is 0"):
        models.mlp(Data(SHAPE, "binary"), latent_dim=0)
