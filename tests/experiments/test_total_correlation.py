"""The total-correlation experiment at its smallest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke_runs import smoke_run

import vae
from experiments import total_correlation as experiment
from vae.data.sources import sprites


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return smoke_run(experiment, tmp_path_factory.mktemp("total_correlation"), train=False)


def test_both_methods_are_compared_at_equal_beta(numbers):
    assert list(numbers["models"]) == ["beta-VAE, beta 1", "beta-VAE, beta 4", "beta-TC-VAE, beta 4"]
    (name,) = numbers["differences"]
    assert name == "beta-TC-VAE, beta 4 minus beta-VAE, beta 4"
    for quantity in ("distortion", *experiment.SCORES):
        a, b = (np.array(numbers["models"][model][quantity]["per_seed"]) for model in name.split(" minus "))
        assert numbers["differences"][name][quantity]["per_seed"] == pytest.approx((a - b).tolist(), abs=1e-9)
    for of in numbers["models"].values():
        assert all(0.0 <= value <= 1.0 for score in experiment.SCORES for value in of[score]["per_seed"])


def test_the_factors_themselves_are_disentangled_and_noise_is_not():
    factors = np.random.default_rng(0).integers(0, [3, 6, 4], (1_000, 3))
    told = experiment.scores_of_codes(factors.astype(float), factors, trees=5)
    noise = experiment.scores_of_codes(np.random.default_rng(1).normal(size=(1_000, 3)), factors, trees=5)
    assert told["factor_vae"] == 1.0
    assert min(told["mig"], told["dci_disentanglement"], told["dci_informativeness"]) > 0.95
    assert max(noise["mig"], noise["dci_disentanglement"]) < 0.1


def test_thinned_sprites_are_the_sprites_at_every_other_pixel():
    dataset = vae.data.load("sprites")
    thin = experiment.thinned(dataset, 2, points=100)
    assert thin.shape == (32, 32, 1)
    assert thin.test.x.shape == (100,)
    np.testing.assert_array_equal(thin.test.label, jax.vmap(sprites.factors)(jnp.asarray(thin.test.x)))
    index = jnp.asarray(thin.test.x[7])
    whole, image = jax.jit(dataset.render)(index), jax.jit(thin.render)(index)
    np.testing.assert_array_equal(image, np.asarray(whole)[1::2, 1::2])
    assert len(np.unique(thin.test.label[:, 0])) == 3, "all shapes are among them"
