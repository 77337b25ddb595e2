"""The score function with a leave-one-out baseline: unbiased where everything can be enumerated; refusals."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vae.distributions import Categorical, Mixture, Normal, distribution, standard_normal
from vae.models import given, latent_group
from vae.objectives import (
    combined_importance_weighted,
    doubly_reparameterised,
    elbo,
    importance_weighted,
    log_ratio,
    score_function,
    sticking_the_landing,
)
from vae.settings import Settings
from vae.types import Batch, Carried, Model, Trace

CLASSES, SAMPLES = 3, 2
X = jnp.array([[0.4], [-1.1]])
MEANS = jnp.array([-1.0, 0.2, 1.5])


def mixture() -> Model:
    """p(y) uniform over 3, p(x | y) = N(mean_y, 1), q(y | x) = softmax(a x + b)."""

    def init(key):
        return {
            "posterior": {"a": jnp.array([0.5, -0.2, 0.1]), "b": jnp.array([0.1, 0.7, -0.3])},
            "generative": {"means": MEANS},
        }, ()

    def infer(params, state, x, context, settings):
        q = Categorical(params["posterior"]["a"] * x[0] + params["posterior"]["b"])

        def draw(key, values=()):
            y = latent_group(q, Categorical(jnp.zeros(CLASSES)), key, given(values, 0))
            return Trace(likelihood=Normal(params["generative"]["means"][y.value][None], jnp.zeros(1)), latents=(y,))

        return draw

    return Model(init, infer, None, None, toys.keep)


def exact_bound(params, share):
    """E over all 3^K outcomes of CIWAE with K samples, summed exactly; batch mean."""
    total = 0.0
    for x in X:
        log_q = jax.nn.log_softmax(params["posterior"]["a"] * x[0] + params["posterior"]["b"])
        log_joint = -0.5 * (x[0] - params["generative"]["means"]) ** 2 - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(CLASSES)
        log_weight = log_joint - log_q
        for outcome in product(range(CLASSES), repeat=SAMPLES):
            index = jnp.array(outcome)
            lw = log_weight[index]
            bound = share * jnp.mean(lw) + (1 - share) * (jax.nn.logsumexp(lw) - jnp.log(SAMPLES))
            total += jnp.exp(jnp.sum(log_q[index])) * bound
    return total / len(X)


def test_score_function_is_unbiased_for_discrete_latents():
    """Value and gradient of both players, 40,000 keys, within 4 standard errors of the enumeration; IWAE and half CIWAE."""
    model = mixture()
    params, _ = model.init(None)
    objective = combined_importance_weighted(SAMPLES, estimator=score_function, monitors=())
    batch = Batch(x=X, context=(), weight=jnp.ones(2))

    def loss(params, key, share):
        return objective.loss(params, Carried((), ()), key, batch, Settings({"elbo_share": share}, training=True), model)[0]

    many = jax.jit(jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0, None)))
    exact = jax.jit(jax.value_and_grad(exact_bound))
    for share in (0.0, 0.5):
        got = many(params, jax.random.split(jax.random.key(0), 40_000), share)
        for samples, wanted in zip(jax.tree.leaves(got), jax.tree.leaves(exact(params, share)), strict=True):
            samples = np.asarray(samples, np.float64)
            error = samples.std(axis=0) / np.sqrt(len(samples))
            assert np.all(np.abs(samples.mean(axis=0) + wanted) < 4 * error + 1e-6)
            assert np.all(error < 0.01)


def traced(objective, model, params, state, batch):
    """The loss, traced only: refusals come before anything is computed."""
    settings = Settings(training=True)
    return jax.eval_shape(lambda p: objective.loss(p, Carried(state, ()), jax.random.key(0), batch, settings, model)[0], params)


def test_discrete_latents_without_a_path_are_refused():
    """Their reparameterised gradient would leave out most of the posterior's, without a word."""
    model, x = toys.labelled(), jnp.ones((2, 4))
    params, state = model.init(jax.random.key(0))
    batch = Batch(x=x, context=(), weight=jnp.ones(2))
    objectives = [elbo(log_ratio)] + [
        importance_weighted(3, estimator) for estimator in (sticking_the_landing, doubly_reparameterised)
    ]
    for objective in objectives:
        with pytest.raises(TypeError, match="Categorical pass no gradient back"):
            traced(objective, model, params, state, batch)
    traced(importance_weighted(3, score_function), model, params, state, batch)


def of_posterior(posterior) -> Model:
    """A model of two numbers with this posterior, whatever the example."""

    def infer(params, state, x, context, settings):
        def draw(key, values=()):
            z = latent_group(posterior(params["posterior"]), standard_normal(2), key, given(values, 0))
            return Trace(likelihood=Normal(z.value, jnp.zeros(2)), latents=(z,))

        return draw

    return Model(None, infer, None, None, None)


@distribution
class Undeclared:
    """A Gaussian of a user who does not say whether its draws are reparameterised."""

    base: Normal

    data_space = "real"

    def sample(self, key):
        return self.base.sample(key)

    def sample_and_log_prob(self, key):
        return self.base.sample_and_log_prob(key)

    def log_prob(self, value):
        return self.base.log_prob(value)


def two_gaussians(numbers):
    return Mixture(logits=numbers[0], components=jax.vmap(Normal)(numbers, jnp.zeros((2, 2))))


def undeclared(numbers):
    return Undeclared(Normal(numbers[0], numbers[1]))


@pytest.mark.parametrize(("posterior", "name"), [(two_gaussians, "Mixture"), (undeclared, "Undeclared")])
def test_a_mixture_and_a_family_that_declares_nothing_are_refused(posterior, name):
    """The logits of a mixture would have no gradient from the likelihood, though its values are real."""
    model, params = of_posterior(posterior), {"posterior": jnp.ones((2, 2)), "generative": ()}
    batch = Batch(jnp.ones((3, 2)), (), jnp.ones(3))
    sentence = (
        rf"the posterior {name} pass no gradient back to some of its parameters, or it does not declare that they do; use "
        r"importance_weighted\(samples, score_function\), a relaxed family, or declare reparameterised = True in your own"
    )
    for objective in (elbo(log_ratio), importance_weighted(3), importance_weighted(3, doubly_reparameterised)):
        with pytest.raises(TypeError, match=sentence):
            traced(objective, model, params, (), batch)
    traced(importance_weighted(3, score_function), model, params, (), batch)


def test_a_family_that_declares_itself_reparameterised_is_taken():
    declared = distribution(type("Declared", (Undeclared,), {"reparameterised": True}))
    model = of_posterior(lambda numbers: declared(Normal(numbers[0], numbers[1])))
    params = {"posterior": jnp.ones((2, 2)), "generative": ()}
    loss = traced(elbo(log_ratio, monitors=()), model, params, (), Batch(jnp.ones((3, 2)), (), jnp.ones(3)))
    assert (loss.shape, loss.dtype) == ((), jnp.float32)


def test_one_sample_has_no_baseline():
    with pytest.raises(ValueError, match="got 1 sample"):
        traced(importance_weighted(1, score_function), mixture(), mixture().init(None)[0], (), Batch(X, (), jnp.ones(2)))


def test_a_model_without_latent_groups_has_no_weights():
    model = toys.vector_quantised()
    params, state = model.init(jax.random.key(0))
    with pytest.raises(TypeError, match="no latent group with a density"):
        traced(importance_weighted(3), model, params, state, Batch(jnp.ones((2, 4)), (), jnp.ones(2)))
