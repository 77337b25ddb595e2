"""The decoder that sees earlier pixels, and the collapse experiment at its smallest."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke_runs import smoke_run

import vae
from experiments import collapse as experiment
from experiments.strong_decoder import PixelByPixel, strengthened
from vae.settings import Settings
from vae.spec import Data

IMAGES = np.array(list(itertools.product([0.0, 1.0], repeat=6)), np.float32).reshape(-1, 2, 3, 1)


@pytest.fixture(scope="module")
def pixels():
    logits, weights = np.random.default_rng(0).normal(size=(2, 3, 1)), np.random.default_rng(1).normal(size=(6, 6))
    return PixelByPixel(jnp.asarray(logits, jnp.float32), jnp.asarray(weights, jnp.float32))


def test_the_probabilities_of_all_images_sum_to_one(pixels):
    log_probs = jax.vmap(pixels.log_prob)(IMAGES)
    assert float(jnp.sum(jnp.exp(log_probs))) == pytest.approx(1.0, abs=1e-5)


def test_each_pixel_is_a_regression_on_those_before_it(pixels):
    x, logits, weights = IMAGES[37].reshape(-1), np.asarray(pixels.logits).reshape(-1), np.asarray(pixels.weights)
    expected = 0.0
    for i in range(6):
        on = 1.0 / (1.0 + np.exp(-(logits[i] + weights[i, :i] @ x[:i])))
        expected += np.log(on if x[i] else 1.0 - on)
    assert float(pixels.log_prob(jnp.asarray(IMAGES[37]))) == pytest.approx(expected, abs=1e-5)


def test_samples_come_as_often_as_their_probability_says(pixels):
    drawn = np.asarray(jax.vmap(pixels.sample)(jax.random.split(jax.random.key(0), 20_000))).reshape(-1, 6)
    counts = np.bincount((drawn @ 2 ** np.arange(5, -1, -1)).astype(int), minlength=64) / 20_000
    expected = np.exp(np.asarray(jax.vmap(pixels.log_prob)(IMAGES)))
    assert np.max(np.abs(counts - expected) / np.sqrt(expected * (1 - expected) / 20_000)) < 4.5


def test_before_training_the_strong_decoder_is_the_plain_one():
    plain = vae.models.mlp(Data((2, 3, 1), "binary"), 2, (4,))
    strong = strengthened(plain, pixels=6)
    key, x = jax.random.key(1), jnp.asarray(IMAGES[20])

    @jax.jit
    def log_likelihood(params_key):
        traces = []
        for model in (plain, strong):
            params, state = model.init(params_key)
            traces.append(model.infer(params, state, x, (), Settings())(key).likelihood.log_prob(x))
            model.decode(params, state, model.prior(params, state, key, ())).sample(key)
        return traces

    a, b = log_likelihood(jax.random.key(0))
    assert float(a) == pytest.approx(float(b), abs=1e-6)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return smoke_run(experiment, tmp_path_factory.mktemp("collapse"), train=False)


def test_remedies_are_compared_with_none(numbers):
    none, *names = numbers["models"]
    assert none == "none"
    assert list(numbers["differences"]) == [f"{name} minus none" for name in names]
    for name in names:
        a, b = (numbers["models"][model]["rate"]["mean"] for model in (name, "none"))
        assert numbers["differences"][f"{name} minus none"]["rate"]["mean"] == pytest.approx(a - b, abs=1e-9)


def test_there_are_five_remedies_and_each_ends_within_training():
    config = experiment.Config(data="digits")
    found = experiment.variants(config)
    assert len(found) == 6
    for remedy in found.values():
        shapes = dict(remedy.schedules)
        assert shapes.pop("learning_rate").horizon == config.steps
        assert all(shape.horizon <= config.steps for shape in shapes.values())
        assert all(float(shape(config.steps)) == 1.0 for shape in shapes.values()), "they end with the ELBO itself"
