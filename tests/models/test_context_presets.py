"""A prior that sees the context, and the regression that a conditional model is held against."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae import models, networks, objectives, posteriors, priors
from vae.evaluation.examples import Examples
from vae.reports.figures import figures_of
from vae.spec import Data
from vae.trained import Trained

KEY = jax.random.key(0)
SHAPE, CLASSES = (4, 3, 1), 3
LABEL = jax.ShapeDtypeStruct((CLASSES,), jnp.float32)
DATA = Data(SHAPE, "binary", context=LABEL)
X = np.random.default_rng(0).integers(0, 2, (6, *SHAPE)).astype(np.float32)
CONTEXT = jnp.eye(CLASSES)[jnp.arange(6) % CLASSES]


def trained_of(build, data=DATA, **arguments):
    model = build(data, hidden=(5,), **arguments)
    return Trained(model, *jax.jit(model.init)(KEY), spec=data)


@pytest.fixture(scope="module")
def conditional():
    return trained_of(models.conditional, latent_dim=2)


@pytest.fixture(scope="module")
def regression():
    return trained_of(models.regression)


def test_the_example_runs():
    names = {"vae": vae, "jax": jax, "jnp": jnp, "conditional": priors.conditional}
    (example,) = doctest.DocTestFinder(recurse=False).find(priors.conditional, "conditional", globs=names)
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_kl_to_a_prior_that_sees_the_class_has_its_closed_form(conditional):
    (group,) = conditional.infer(jnp.asarray(X[0]), CONTEXT[0])(KEY).latents
    closed = float(vae.kl_divergence(group.posterior, group.prior))
    mean, error = vae.monte_carlo_kl(group.posterior, group.prior, KEY, 20_000)
    assert abs(float(mean) - closed) < 4.5 * float(error)
    by_hand = vae.networks.mlp((5,), (4,)).apply(conditional.params["generative"]["prior"]["network"], {}, CONTEXT[0])[0]
    np.testing.assert_allclose(group.prior.mean, by_hand[:2], rtol=1e-6)


def test_classes_have_priors_of_their_own_and_samples_follow_the_given_class(conditional):
    draws = [
        np.asarray(vae.evaluation.generate.sample_prior(conditional, KEY, context=jnp.tile(row[None], (4000, 1)))[0])
        for row in jnp.eye(CLASSES)
    ]
    for row, drawn in zip(jnp.eye(CLASSES), draws, strict=True):
        prior = conditional.infer(jnp.asarray(X[0]), row)(KEY).latents[0].prior
        error = np.asarray(prior.std) / np.sqrt(len(drawn))
        assert np.all(np.abs(drawn.mean(axis=0) - prior.mean) < 4.5 * error)
    assert np.abs(draws[0].mean(axis=0) - draws[1].mean(axis=0)).max() > 0.1


def test_its_parameters_are_generative_and_learn_through_the_kl(conditional):
    def loss(params):
        trace = conditional.replace(params=params).infer(jnp.asarray(X[0]), CONTEXT[0])(KEY)
        return jnp.sum(objectives.terms_of(trace, jnp.asarray(X[0]), objectives.analytic, KEY).rates[0])

    gradient = jax.jit(jax.grad(loss))(conditional.params)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient["generative"]["prior"]["network"]["output"]))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["generative"]["decoder"]))


def test_the_prior_sees_any_pytree_and_no_mask():
    context = {"observed": jax.ShapeDtypeStruct((4,), bool), "given": (LABEL, jax.ShapeDtypeStruct((2, 2), jnp.uint8))}
    prior = priors.conditional(networks.mlp((), (4,)), posteriors.normal(2), context)
    params = prior.init(KEY)
    assert params["network"]["output"]["kernel"].shape == (7, 4)
    given = (CONTEXT[0], jnp.full((2, 2), 255, jnp.uint8))
    there, missing = ({"observed": jnp.full(4, there), "given": given} for there in (True, False))
    np.testing.assert_array_equal(prior.build(params, there, None).mean, prior.build(params, missing, None).mean)


def test_a_regression_is_a_model_whose_every_bound_is_its_log_likelihood(regression):
    exact = jax.vmap(lambda x, c: regression.decode((), c).log_prob(x))(X, CONTEXT)
    terms = vae.evaluation.elbo_terms(regression, X, KEY, context=CONTEXT)
    np.testing.assert_allclose(terms.log_likelihood - objectives.total_rate(terms), exact, rtol=1e-6)
    for samples in (1, 7):
        found = vae.evaluation.importance_sampled_evidence(regression, X, KEY, samples=samples, context=CONTEXT)
        np.testing.assert_allclose(found.log_evidence, exact, rtol=1e-5)
    one = regression.infer(jnp.asarray(X[0]), CONTEXT[0])(KEY)
    other = regression.infer(jnp.asarray(X[1]), CONTEXT[0])(KEY)
    np.testing.assert_array_equal(one.likelihood.logits, other.likelihood.logits)


@pytest.mark.parametrize("objective", [vae.elbo(), objectives.importance_weighted(2)])
def test_a_regression_trains_as_other_models_do(regression, objective):
    batch = vae.Batch(jnp.asarray(X), CONTEXT, jnp.ones(6))
    state = jax.eval_shape(lambda: vae.initial_state(regression.model, objective, vae.training.optimisers.adam, KEY, {}))
    step = vae.make_train_step(regression.model, objective, vae.training.optimisers.adam)
    assert jax.eval_shape(step, state, batch)[1]["loss"].shape == ()


@pytest.mark.slow  # all figures of two models
def test_a_report_and_its_figures_are_made_of_either(conditional, regression):
    examples = Examples(jnp.asarray(X), CONTEXT, np.arange(6) % CLASSES, ("a", "b", "c"))
    numbers = {"kl_per_dimension": [[]]}
    found = figures_of(regression, examples, numbers, [], key=KEY)
    assert {"reconstructions", "samples_by_context"} <= set(found)
    assert "traversals" not in found
    numbers = {"kl_per_dimension": [[0.1, 0.2]]}
    assert {"samples_by_context", "traversals"} <= set(figures_of(conditional, examples, numbers, [], key=KEY))


def test_what_has_no_context_or_carries_a_state_is_refused():
    plain = Data(SHAPE, "binary")
    with pytest.raises(ValueError, match="conditional got no context"):
        models.conditional(plain)
    with pytest.raises(ValueError, match="without_latents got data that are conditioned on nothing"):
        models.regression(plain)
    for network in (networks.mlp((4,), (4,), dropout=0.2), networks.mlp((4,), (4,), normalisation=networks.batch_norm())):
        with pytest.raises(ValueError, match="a network that draws or carries a state"):
            priors.conditional(network, posteriors.normal(2), LABEL)


def test_a_context_that_is_missing_or_of_another_shape_is_refused_before_sampling(conditional):
    with pytest.raises(ValueError, match=r"conditioned on a context of shape \(3,\) and got none"):
        vae.evaluation.generate.sample_prior(conditional, KEY, 4)
    with pytest.raises(ValueError, match=r"context has shape \(4, 5\); wanted rows of shape \(3,\)"):
        vae.evaluation.generate.sample_prior(conditional, KEY, context=jnp.ones((4, 5)))
