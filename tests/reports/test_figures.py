"""Which figures a model has, by its groups, its context and its data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import vae
from vae import likelihoods, models, networks, posteriors, priors
from vae.distributions import Deterministic, Normal
from vae.evaluation import generate
from vae.evaluation.examples import Examples
from vae.reports.evaluation import evaluate
from vae.reports.figures import distinct_contexts, figures_of
from vae.reports.pictures import as_picture, what_can_be_drawn
from vae.spec import Data
from vae.trained import Trained
from vae.types import Latent, Model, Trace

SHAPE = (4, 3, 1)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.integers(0, 2, (24, *SHAPE)), jnp.float32)
LABELS = np.arange(24) % 3
RECORDS = [{"step": step, "split": "train", "elbo": -9.0 + step} for step in (1, 2)]
OF_ONE_GROUP = {"latent_means", "kl_per_dimension", "traversals"}
OF_THE_MODEL = {"reconstructions", "samples_prior", "samples_aggregate", "interpolation", "training_curves"}
OF_TWO_GROUPS = (
    {f"{name}_{group}" for name in OF_ONE_GROUP for group in (0, 1)}
    | {"kl_per_group", "reconstructions_top_groups"}
    | OF_THE_MODEL
)


def drawn(trained, x=X, context=(), labels=LABELS, kl=((0.3, 0.1),), records=RECORDS, **kwargs):
    examples = Examples(x, context, labels, ("a", "b", "c"))
    return figures_of(trained, examples, {"kl_per_dimension": kl}, records, key=KEY, **kwargs)


def trained_of(model, data):
    return Trained(model, *jax.jit(model.init)(KEY), spec=data)


def of_images(space="binary", shape=SHAPE, **kwargs):
    data = Data(shape=shape, space=space)
    return trained_of(models.mlp(data, latent_dim=2, hidden=(4,), **kwargs), data)


IMAGES = of_images()


def title(figure):
    return figure.texts[0].get_text() if figure.texts else figure._suptitle.get_text()


def text_of(figure):
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def rows_of(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def with_images(model, shape):
    """A toy on vectors as one on images of the same numbers."""

    def infer(params, state, x, context, settings):
        draw = model.infer(params, state, x.reshape(-1), context, settings)

        def drawn(key, values=()):
            trace = draw(key, values)
            return trace._replace(likelihood=as_images(trace.likelihood))

        return drawn

    def as_images(likelihood):
        return jax.tree.map(lambda leaf: leaf.reshape(shape), likelihood)

    def decode(params, state, values, context):
        return as_images(model.decode(params, state, values, context))

    return Model(model.init, infer, model.prior, decode, model.update)


def test_a_model_with_one_group_has_them_all_and_says_that_they_are_means():
    stored = RNG.integers(0, 256, (30, *SHAPE), np.uint8)
    figures = drawn(IMAGES, neighbours=stored)
    assert set(figures) == OF_ONE_GROUP | OF_THE_MODEL
    for name in ("reconstructions", "samples_prior", "samples_aggregate", "traversals", "interpolation"):
        assert "decoder means" in title(figures[name]).lower()
    assert rows_of(figures["samples_prior"]) == ["decoder mean", "draw from\np(x|z)", "training image\nnearest to the mean"] * 2
    assert rows_of(drawn(IMAGES)["samples_prior"]) == ["decoder mean", "draw from\np(x|z)"] * 2


def test_draws_are_of_the_likelihood_and_stand_under_their_means():
    """Of pixels that are 0 or 1: draws too, and over many keys their mean is the mean above."""
    figure = drawn(IMAGES)["samples_prior"]
    arrays = np.stack([np.asarray(image.get_array()) for image in figure.axes[0].images]).reshape(2, 2, 6, 4, 3)
    assert set(np.unique(arrays[:, 1])) == {0.0, 1.0}
    assert 0.0 < arrays[:, 0].min() < arrays[:, 0].max() < 1.0
    values = tuple(jnp.repeat(value, 4_000, axis=0) for value in generate.sample_prior(IMAGES, KEY, 1))
    draws = generate.sample_likelihood(IMAGES, values, KEY)
    mean = generate.decode_means(IMAGES, values)[0]
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * 0.5 / np.sqrt(4_000))


@pytest.mark.slow
def test_a_likelihood_without_draws_has_means_only():
    trained = of_images("real", likelihood="normal_optimal_std")
    with pytest.raises(TypeError, match="sigma"):
        generate.sample_likelihood(trained, generate.sample_prior(trained, KEY, 2), KEY)
    figures = drawn(trained, kl=None)
    assert rows_of(figures["samples_prior"]) == []
    assert title(figures["samples_prior"]).endswith("decoder means")


def test_codes_in_use_are_shown_with_the_images_they_are_of():
    figure = drawn(IMAGES)["samples_aggregate"]
    assert "prior" not in title(figure)
    assert "what the model generates by itself is in the samples from the prior" in text_of(figure)
    shown = [np.asarray(image.get_array()) for image in figure.axes[0].images[:10]]
    assert all(any(np.array_equal(one, x[..., 0]) for x in np.asarray(X)) for one in shown)


@pytest.mark.slow
def test_traversals_say_how_many_dimensions_they_show():
    assert "All 2 dimensions, sorted by their KL." in text_of(drawn(IMAGES)["traversals"])
    data = Data(shape=SHAPE, space="binary")
    wide = trained_of(models.mlp(data, latent_dim=14, hidden=(4,)), data)
    figure = drawn(wide, kl=(tuple(np.linspace(0.1, 1.4, 14)),))["traversals"]
    assert "Shown are 12 of 14 dimensions, those with the most KL." in text_of(figure)
    assert rows_of(figure)[0] == "z[13]   1.40"
    unsplit = drawn(wide, kl=((2.0,),))["traversals"]
    assert "Shown are 12 of 14 dimensions, those whose codes vary the most." in text_of(unsplit)


def test_without_records_there_are_no_curves():
    assert "training_curves" not in drawn(IMAGES, records=[])
    assert "training_curves" not in drawn(IMAGES, records=[{"step": 1, "elbo": float("nan")}])


def conditional(context):
    data, posterior = Data(shape=SHAPE, space="binary", context=context), posteriors.normal(2)
    model = models.variational_autoencoder(
        encoder=networks.mlp((4,), posterior.outputs),
        decoder=networks.mlp((4,), SHAPE),
        posterior=posterior,
        prior=priors.normal(2),
        likelihood=likelihoods.bernoulli(SHAPE),
        data=data,
        context=context,
    )
    return trained_of(model, data)


@pytest.mark.slow
def test_a_few_contexts_have_a_row_each_and_many_are_those_of_the_first_examples():
    trained = conditional(jax.ShapeDtypeStruct((3,), jnp.float32))
    figures = drawn(trained, context=jax.nn.one_hot(LABELS, 3))
    assert set(figures) == OF_ONE_GROUP | OF_THE_MODEL - {"samples_prior"} | {"samples_by_context"}
    axes = figures["samples_by_context"].axes[0]
    assert "decoder means and draws" in title(figures["samples_by_context"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert len(axes.images) == 30
    many = drawn(trained, context=jnp.asarray(RNG.normal(size=(24, 3)), jnp.float32))
    assert set(many) == OF_ONE_GROUP | OF_THE_MODEL
    assert "given contexts of test images" in title(many["samples_prior"])


def test_contexts_are_called_by_their_label_where_it_is_always_the_same():
    one_hot = np.eye(3)[LABELS]
    rows, names = distinct_contexts(Examples(X, one_hot, LABELS, ("a", "b", "c")))
    np.testing.assert_array_equal(rows, [0, 1, 2])
    assert names == ["a", "b", "c"]
    assert distinct_contexts(Examples(X, one_hot, 2 - LABELS))[1] == ["0", "1", "2"]
    np.testing.assert_array_equal(distinct_contexts(Examples(X, one_hot, 2 - LABELS))[0], [2, 1, 0])
    _, names = distinct_contexts(Examples(X, one_hot, np.arange(24) % 2))
    assert names == ["context 0", "context 1", "context 2"]
    _, names = distinct_contexts(Examples(X, {"side": np.arange(24) % 2, "label": one_hot}))
    assert len(names) == 6


def test_several_groups_have_their_own_figures():
    model = toys.two_groups(bottom_up=False)
    trained = trained_of(with_images(model, (1, 1, 1)), Data(shape=(1, 1, 1), space="real"))
    figures = drawn(trained, x=jnp.asarray(RNG.normal(size=(24, 1, 1, 1)), jnp.float32), kl=((0.3,), (0.1,)))
    assert set(figures) == OF_TWO_GROUPS
    assert "KL per latent group: 0.40 nats in all" in title(figures["kl_per_group"])
    assert "group 1" in title(figures["traversals_1"])


@pytest.mark.slow
def test_a_class_has_neither_means_nor_walks():
    trained = trained_of(with_images(toys.labelled(), (2, 2)), Data(shape=(2, 2), space="binary"))
    x = jnp.asarray(RNG.integers(0, 2, (24, 2, 2)), jnp.float32)
    figures = drawn(trained, x=x, kl=((0.5,), (0.2, 0.1)), neighbours=RNG.integers(0, 256, (9, 2, 2), np.uint8))
    left_out = {"latent_means_0", "traversals_0", "interpolation"}
    assert set(figures) == OF_TWO_GROUPS - left_out | {"code_usage_0"}


def grid_of_codes():
    """A toy whose only group is a grid of two times two numbers of a codebook's rows, without a density."""

    def infer(params, state, x, context, settings):
        codes = (x[:2, :2, 0] > 0).astype(jnp.int32)

        def draw(key, values=()):
            value = values[0] if values else codes
            latent = Latent(posterior=Deterministic(codes), prior=None, value=value, log_q=None)
            return Trace(likelihood=decode(params, state, (value,), context), latents=(latent,))

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        return (jax.random.randint(key, (2, 2), 0, 2),)

    def decode(params, state, values, context):
        return Normal(mean=jnp.take(params["generative"], values[0]).reshape(2, 2, 1), log_std=jnp.zeros((2, 2, 1)))

    def init(key):
        return {"posterior": (), "generative": jnp.array([0.2, 0.8])}, ()

    return Model(init, infer, prior, decode, toys.keep)


@pytest.mark.parametrize("space", ["real", "unit_interval"])
def test_a_grid_of_integer_codes_has_images_and_no_walks(space):
    trained = trained_of(grid_of_codes(), Data(shape=(2, 2, 1), space=space))
    figures = drawn(trained, x=jnp.asarray(RNG.uniform(size=(24, 2, 2, 1)), jnp.float32), kl=None)
    assert set(figures) == {"reconstructions", "samples_prior", "samples_aggregate", "training_curves"}
    known = what_can_be_drawn(trained, Examples(X[:, :2, :2]))
    assert (known.has_means, known.walkable, known.sizes) == ((False,), (False,), (4,))


@pytest.mark.slow
def test_a_model_without_a_group_is_evaluated_and_drawn(tmp_path):
    """From its numbers to its files: nothing on the way asks for a group."""
    trained = trained_of(with_images(toys.vector_quantised(), (2, 2, 1)), Data(shape=(2, 2, 1), space="unit_interval"))
    feed = vae.data.feed(RNG.uniform(size=(24, 2, 2, 1)).astype(np.float32))
    numbers = evaluate(trained, vae.data.Splits(feed, test=feed), samples=2, records=RECORDS, folder=tmp_path)
    assert numbers["elbo"] is None
    assert {path.stem for path in tmp_path.iterdir()} == {"reconstructions", "samples_prior", "training_curves"}


def test_a_quantised_code_has_images_only():
    trained = trained_of(with_images(toys.vector_quantised(), (2, 2, 1)), Data(shape=(2, 2, 1), space="real"))
    figures = drawn(trained, x=jnp.asarray(RNG.normal(size=(24, 2, 2, 1)), jnp.float32), kl=None)
    assert set(figures) == {"reconstructions", "samples_prior", "training_curves"}


@pytest.mark.slow
def test_a_grid_of_codes_has_no_walks_and_a_flow_no_means():
    classes = drawn(of_images(latents="categorical"))
    assert "KL per latent variable: 0.40 nats" in title(classes["kl_per_dimension"])
    assert set(classes) == {"latent_means", "kl_per_dimension"} | OF_THE_MODEL - {"interpolation"}
    figures = set(drawn(of_images(latents="inverse_autoregressive"), kl=((2.0,),)))
    assert figures == {"traversals"} | OF_THE_MODEL, "one KL of both dimensions is none of either"


@pytest.mark.parametrize(
    ("space", "shape", "likelihood"),
    [("real", (12,), "normal"), ("real", (4, 3, 5), "normal"), ("tokens", (4, 3, 1), "normal")],
)
def test_what_is_no_image_has_the_other_figures(space, shape, likelihood):
    x = jnp.asarray(RNG.normal(size=(24, *shape)), jnp.float32)
    figures = drawn(of_images(space, shape, likelihood=likelihood), x=x)
    assert set(figures) == {"latent_means", "kl_per_dimension", "training_curves"}


@pytest.mark.slow
def test_factors_and_no_labels_and_few_examples():
    assert "latent_means" in drawn(IMAGES, labels=np.stack([LABELS, LABELS], axis=1))
    assert "latent_means" in drawn(IMAGES, labels=None)
    assert {"interpolation", "samples_prior"} <= set(drawn(IMAGES, x=X[:2], labels=None))


def test_what_is_known_without_computing():
    shown = what_can_be_drawn(of_images("real", likelihood="normal"), Examples(X))
    assert (shown.has_means, shown.walkable, shown.pictures) == ((True,), (True,), True)
    assert not what_can_be_drawn(IMAGES.replace(spec=None), Examples(X)).pictures


def test_pictures_are_in_the_unit_interval():
    np.testing.assert_allclose(as_picture(np.array([0, 255], np.uint8), "uint8"), [0, 1])
    np.testing.assert_allclose(as_picture(np.array([-0.5, 0.5, 1.5]), "real"), [0, 0.5, 1])


def test_an_autoencoder_without_latent_values_has_no_samples():
    """Its decoder's input comes from x alone, so that there is nothing to draw."""
    quantised = with_images(toys.vector_quantised(), (2, 2, 1))
    model = quantised._replace(prior=lambda params, state, key, context=(), values=(), temperature=1.0: ())
    x = jnp.asarray(RNG.normal(size=(24, 2, 2, 1)), jnp.float32)
    found = drawn(trained_of(model, Data(shape=(2, 2, 1), space="real")), x=x, kl=None)
    assert not {name for name in found if name.startswith("samples")}
    assert "reconstructions" in found
