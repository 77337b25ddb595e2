"""Images of any height, width and number of channels, with mixtures of discretised logistics: shapes, training, pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.evaluation import Examples, generate
from vae.reports import figures_of
from vae.reports.pictures import what_can_be_drawn
from vae.settings import Settings

SHAPES = [(5, 8, 1), (7, 4, 2), (9, 6, 3), (6, 9, 4), (32, 32, 4)]
MODELS = {
    "convolutional": lambda spec, likelihood: vae.models.convolutional(spec, 3, (4, 8), likelihood=likelihood),
    "top_down": lambda spec, likelihood: vae.models.top_down(spec, (1, 1), 2, 4, 2, likelihood=likelihood),
}


@pytest.mark.parametrize(
    ("model", "shape"), [*(("convolutional", shape) for shape in SHAPES), ("top_down", (5, 8, 1)), ("top_down", (6, 9, 4))]
)
def test_every_shape_has_a_likelihood_a_mean_and_draws(model, shape):
    spec = vae.Data(shape, "uint8")
    built = MODELS[model](spec, "discretised_logistic_mixture")
    params, state = jax.eval_shape(built.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct(shape, jnp.uint8)

    def passed(params, state, x, key):
        trace = built.infer(params, state, x, (), Settings())(key)
        likelihood = built.decode(params, state, built.prior(params, state, key, ()), ())
        return trace.likelihood.log_prob(x), likelihood.mean, likelihood.sample(key)

    score, mean, draw = jax.eval_shape(passed, params, state, x, jax.random.key(0))
    assert (score.shape, mean.shape, draw.shape) == ((), shape, shape)
    examples = Examples(np.zeros((2, *shape), np.uint8))
    assert what_can_be_drawn(vae.Trained(built, params, state, spec=spec), examples).pictures


@pytest.fixture(scope="module")
def pictures():
    """Disks of one colour, in front of nothing: x, and their test part."""
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:6, :9]
    images = np.zeros((80, 6, 9, 4), np.uint8)
    for image, centre, colour in zip(images, draw.uniform(2, 4, (80, 2)), draw.integers(0, 256, (80, 3)), strict=True):
        inside = (rows - centre[0]) ** 2 + (columns - 2 * centre[1]) ** 2 < 6
        image[inside] = [*colour, 255]
        image[~inside] = [255, 255, 255, 0]
    return images[:64], images[64:]


@pytest.fixture(scope="module")
def fitted(pictures):
    train, test = (vae.data.feed(images) for images in pictures)
    model = vae.reference_to(
        vae.models.convolutional, latent_dim=4, widths=[8], hidden=[16], likelihood="discretised_logistic_mixture"
    )
    experiment = vae.Experiment(
        vae.data.Splits(train, validation=test), model, steps=150, batch_size=16, settings={"beta": 1.0, "learning_rate": 1e-2}
    )
    return vae.fit(experiment, host=vae.Host(progress=False, log_every=50))


@pytest.mark.slow
def test_training_says_what_the_noise_is_not(fitted, pictures):
    """Under 3 bits a dimension, where 256 alike probable values cost 8."""
    terms = vae.evaluation.elbo_terms(fitted.trained, pictures[1], jax.random.key(0))
    bits = float(jnp.mean(vae.objectives.total_rate(terms) - terms.log_likelihood)) / (6 * 9 * 4 * np.log(2))
    assert 0 < bits < 3


def test_a_mean_of_coupled_channels_is_that_of_draws(fitted):
    values = generate.sample_prior(fitted.trained, jax.random.key(1), 1)
    likelihood = fitted.trained.decode(jax.tree.map(lambda value: value[0], values))
    draws = np.asarray(jax.jit(jax.vmap(likelihood.sample))(jax.random.split(jax.random.key(2), 2_000)))
    np.testing.assert_allclose(generate.decode_means(fitted.trained, values)[0], draws.mean(0), atol=1.5 + 4 * 128 / 2_000**0.5)


@pytest.mark.slow  # every figure is a program or two
def test_pictures_with_transparency_are_drawn(fitted, pictures):
    numbers = vae.evaluation.report.report(fitted.trained, pictures[1], jax.random.key(0), samples=5)
    assert numbers["bits_per_dim"] > 0
    drawn = figures_of(fitted.trained, Examples(pictures[1]), numbers, [], key=jax.random.key(0))
    assert {"reconstructions", "samples_prior", "samples_aggregate", "interpolation", "traversals"} <= set(drawn)
    words = " ".join(text.get_text() for text in drawn["samples_prior"].texts)
    assert "Checkerboard" in words
