"""An image and its caption: who tells of which latent, what is left where one is missing, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae import models, objectives
from vae.distributions import MixtureOfExperts, Normal
from vae.models.modalities import TOLD
from vae.settings import Settings
from vae.spec import Data

KEY, SHAPE, WORDS = jax.random.key(0), (3, 2, 1), 5
FLAG = jax.ShapeDtypeStruct((), bool)
CONTEXT = {"text": jax.ShapeDtypeStruct((4,), jnp.int32), "seen": {"image": FLAG, "text": FLAG}}
DATA = Data(SHAPE, "binary", context=CONTEXT)
X = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, *SHAPE)), jnp.float32)
TEXT, OTHER = jnp.array([1, 3, 0, 0], jnp.int32), jnp.array([2, 4, 1, 0], jnp.int32)


def context(text=TEXT, image_seen=True, text_seen=True):
    return {"text": text, "seen": {"image": jnp.asarray(image_seen), "text": jnp.asarray(text_seen)}}


@pytest.fixture(scope="module")
def trained():
    def of(told):
        model = models.captioned(DATA, WORDS, latent_dim=3, text_dim=2, hidden=(6,), text_hidden=(5,), told=told)
        return vae.Trained(model, *jax.jit(model.init)(KEY), spec=DATA)

    return {told: of(told) for told in TOLD}


def latents(run, given, x=X[0], key=KEY, values=()):
    return jax.jit(lambda run, x, given: run.infer(x, given)(key, values))(run, x, given).latents


@pytest.mark.slow
def test_apart_each_tells_of_its_own_latent_alone(trained):
    run = trained["apart"]
    text, image = latents(run, context())
    assert (text.value.shape, image.value.shape) == ((2,), (3,))
    other_text, same_image = latents(run, context(OTHER))
    assert np.any(other_text.posterior.mean != text.posterior.mean)
    np.testing.assert_array_equal(same_image.value, image.value)
    same_text, other_image = latents(run, context(), X[1])
    np.testing.assert_array_equal(same_text.value, text.value)
    assert np.any(other_image.posterior.mean != image.posterior.mean)


@pytest.mark.parametrize("told", TOLD)
def test_where_both_are_missing_the_posterior_is_the_prior_and_costs_nothing(trained, told):
    for latent in latents(trained[told], context(image_seen=False, text_seen=False)):
        assert float(jnp.abs(latent.log_q - latent.prior.log_prob(latent.value))) < 1e-5


@pytest.mark.parametrize("told", TOLD)
def test_what_is_missing_is_not_seen(trained, told):
    run = trained[told]
    without_text = [latents(run, context(text, text_seen=False)) for text in (TEXT, OTHER)]
    without_image = [latents(run, context(image_seen=False), x) for x in (X[0], X[1])]
    for one, two in (without_text, without_image):
        jax.tree.map(np.testing.assert_array_equal, [g.value for g in one], [g.value for g in two])
    both = latents(run, context())
    assert any(np.any(a.value != b.value) for a, b in zip(both, without_text[0], strict=True))
    unmarked = latents(run, {"text": TEXT})
    jax.tree.map(np.testing.assert_array_equal, [g.value for g in both], [g.value for g in unmarked])


def test_a_product_is_sharper_than_either_and_a_mixture_is_one_of_them(trained):
    (product,) = latents(trained["product"], context())
    for missing in ({"text_seen": False}, {"image_seen": False}):
        (alone,) = latents(trained["product"], context(**missing))
        assert isinstance(alone.posterior, Normal)
        assert np.all(np.asarray(product.posterior.log_std) < np.asarray(alone.posterior.log_std))
    (mixed,) = latents(trained["mixture"], context())
    assert isinstance(mixed.posterior, MixtureOfExperts)
    parts = [latents(trained["mixture"], context(**missing))[0] for missing in ({"text_seen": False}, {"image_seen": False})]
    found = jax.nn.logsumexp(jnp.stack([part.posterior.log_prob(mixed.value) for part in parts])) - np.log(2)
    assert float(mixed.log_q) == pytest.approx(float(found), rel=1e-5)


@pytest.mark.parametrize("told", TOLD)
def test_prior_and_decoder_keep_what_is_given_and_see_no_caption(trained, told):
    run = trained[told]
    drawn = run.prior(KEY, context())
    kept = run.prior(jax.random.key(1), context(), (drawn[0],))
    np.testing.assert_array_equal(kept[0], drawn[0])
    one, two = (run.decode(drawn, given).logits for given in (context(), context(OTHER)))
    np.testing.assert_array_equal(one, two)
    trace = jax.jit(run.infer(X[0], context()))(KEY, drawn)
    np.testing.assert_allclose(trace.likelihood.logits, one, rtol=1e-5)
    colder = run.prior(KEY, context(), temperature=0.5)
    np.testing.assert_allclose(colder[0], 0.5 * drawn[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("told", "objective"),
    [
        ("apart", vae.elbo(monitors=())),
        ("product", objectives.importance_weighted(3, monitors=())),
        ("mixture", vae.elbo(objectives.log_ratio, monitors=())),
    ],
)
def test_every_parameter_learns(trained, told, objective):
    run = trained[told]
    given = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (6, *leaf.shape)), context())
    batch = vae.Batch(X, given, jnp.ones(6))
    carried = vae.types.Carried(run.model_state, ())

    def loss(params):
        return objective.loss(params, carried, KEY, batch, Settings({}, training=True), run.model)[0]

    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(run.params)):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf), f"{jax.tree_util.keystr(path)} gets no gradient"


def test_the_kl_of_a_mixture_is_refused_in_closed_form(trained):
    with pytest.raises(TypeError, match="MixtureOfExperts"):
        vae.evaluation.elbo_terms(trained["mixture"], X[:1], KEY, context=jax.tree.map(lambda leaf: leaf[None], context()))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (partial(models.captioned, Data(SHAPE, "binary"), WORDS), "captioned got data with the context"),
        (partial(models.captioned, DATA, WORDS, told="loudly"), "told is 'loudly'; wanted one of apart, product, mixture"),
        (lambda: models.informed((), vae.networks.mlp((), SHAPE), vae.likelihoods.bernoulli(SHAPE), DATA), "no latent groups"),
    ],
)
def test_what_cannot_be_told_is_refused(build, said):
    with pytest.raises(ValueError, match=said):
        build()


def test_a_network_with_dropout_is_refused_by_the_name_of_its_source():
    family = vae.posteriors.normal(2)
    source = models.Source("image", lambda x, context: x, vae.networks.mlp((4,), family.outputs, dropout=0.5))
    group = models.Informed((source,), family, vae.priors.normal(2))
    with pytest.raises(ValueError, match="informed, for image, got a network that draws"):
        models.informed((group,), vae.networks.mlp((), SHAPE), vae.likelihoods.bernoulli(SHAPE), DATA)
