"""Which figures a model has, by its groups, its context and its data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vae import likelihoods, models, networks, posteriors, priors
from vae.evaluation.examples import Examples
from vae.reports.figures import as_picture, distinct_contexts, figures_of, what_can_be_drawn
from vae.trained import Trained
from vae.types import Data, Model

SHAPE = (4, 3, 1)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.integers(0, 2, (24, *SHAPE)), jnp.float32)
LABELS = np.arange(24) % 3
RECORDS = [{"step": step, "split": "train", "elbo": -9.0 + step} for step in (1, 2)]
OF_ONE_GROUP = {"latent_means", "kl_per_dimension", "traversals"}
OF_THE_MODEL = {"reconstructions", "samples_prior", "samples_aggregate", "interpolation", "training_curves"}


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
    assert "nearest training images" in title(figures["samples_prior"])
    assert "nearest" not in title(drawn(IMAGES)["samples_prior"])


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


def test_a_few_contexts_have_a_row_each_and_many_are_those_of_the_first_examples():
    trained = conditional(jax.ShapeDtypeStruct((3,), jnp.float32))
    figures = drawn(trained, context=jax.nn.one_hot(LABELS, 3))
    assert set(figures) == OF_ONE_GROUP | OF_THE_MODEL - {"samples_prior"} | {"samples_by_context"}
    axes = figures["samples_by_context"].axes[0]
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
    assert set(figures) == {f"{name}_{group}" for name in OF_ONE_GROUP for group in (0, 1)} | OF_THE_MODEL
    assert "group 1" in title(figures["traversals_1"])


def test_a_class_has_neither_means_nor_walks():
    trained = trained_of(with_images(toys.labelled(), (2, 2)), Data(shape=(2, 2), space="binary"))
    x = jnp.asarray(RNG.integers(0, 2, (24, 2, 2)), jnp.float32)
    figures = drawn(trained, x=x, kl=((0.5,), (0.2, 0.1)), neighbours=RNG.integers(0, 256, (9, 2, 2), np.uint8))
    left_out = {"latent_means_0", "traversals_0", "interpolation"}
    assert set(figures) == ({f"{name}_{group}" for name in OF_ONE_GROUP for group in (0, 1)} | OF_THE_MODEL) - left_out


def test_a_quantised_code_has_images_only():
    trained = trained_of(with_images(toys.vector_quantised(), (2, 2, 1)), Data(shape=(2, 2, 1), space="real"))
    figures = drawn(trained, x=jnp.asarray(RNG.normal(size=(24, 2, 2, 1)), jnp.float32), kl=None)
    assert set(figures) == {"reconstructions", "samples_prior", "training_curves"}


def test_a_grid_of_codes_has_no_walks_and_a_flow_no_means():
    figures = set(drawn(of_images(latents="categorical")))
    assert figures == {"latent_means", "kl_per_dimension"} | OF_THE_MODEL - {"interpolation"}
    figures = set(drawn(of_images(latents="inverse_autoregressive"), kl=((2.0,),)))
    assert figures == OF_ONE_GROUP - {"latent_means"} | OF_THE_MODEL


@pytest.mark.parametrize(
    ("space", "shape", "likelihood"),
    [("real", (12,), "normal"), ("real", (4, 3, 2), "normal"), ("tokens", (4, 3, 1), "normal")],
)
def test_what_is_no_image_has_the_other_figures(space, shape, likelihood):
    x = jnp.asarray(RNG.normal(size=(24, *shape)), jnp.float32)
    figures = drawn(of_images(space, shape, likelihood=likelihood), x=x)
    assert set(figures) == {"latent_means", "kl_per_dimension", "training_curves"}


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
