"""The total-correlation experiment at its smallest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from smoke_runs import smoke_run

import vae
from experiments import total_correlation as experiment
from vae.data.sources import sprites
from vae.evaluation.examples import Examples


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


def test_the_scores_are_those_of_posterior_means():
    """Of a model whose posterior means are the first two numbers of an example: the factors, or noise."""
    generator = np.random.default_rng(0)
    factors = generator.integers(0, [3, 6], (1_000, 2))
    params = toys.linear_gaussian().init(jax.random.key(0))[0]
    trained = vae.Trained(toys.linear_gaussian(), params | {"posterior": {"weights": jnp.eye(2, 4), "log_std": jnp.zeros(2)}})
    scores = experiment.scores(experiment.Config(trees=5))

    def found(codes):
        x = jnp.asarray(np.pad(codes, [(0, 0), (0, 2)]), jnp.float32)
        return {name: score(trained, Examples(x, labels=factors)) for name, score in scores.items()}

    told, noise = found(factors), found(generator.normal(size=factors.shape))
    assert told["factor_vae"] == 1.0
    assert min(told["mig"], told["dci"]["disentanglement"], told["dci"]["informativeness"]) > 0.95
    assert max(noise["mig"], noise["dci"]["disentanglement"]) < 0.1


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
