"""Models with several groups: exact where they are Gaussian, in both orders of the posterior; what does not chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from numpy.testing import assert_allclose, assert_array_equal

import vae
from vae import likelihoods, networks, posteriors, priors
from vae.distributions import AtSample, Normal
from vae.models import Conditional, Link, TopDownGroup, bottom_up_chain, precision_weighted, top_down_hierarchy
from vae.models.hierarchy import as_inferred
from vae.objectives import (
    analytic,
    doubly_reparameterised,
    importance_weighted,
    log_ratio,
    log_weight,
    reparameterised,
    sticking_the_landing,
)
from vae.objectives.estimators import frozen_posterior
from vae.rates import ClosedForm
from vae.settings import Settings
from vae.types import Batch, Carried, Family, Network

A, T, S = toys.A, toys.T, toys.S
DATA = vae.Data((1,), "real")
KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 1)), jnp.float32)


def linear(*slopes):
    """y = sum of slope_i times the i-th array of the inputs: a network whose slopes are its parameters."""

    def apply(params, state, inputs, context, training=False, key=None):
        arrays = [leaf for leaf in jax.tree.leaves(inputs) if leaf.shape == (1,)]
        return sum(slope * array for slope, array in zip(params, arrays, strict=True)), state

    return Network(lambda key, *inputs: (list(map(jnp.asarray, slopes)), {}), apply)


def gaussian(variance):
    """A Gaussian of which the network gives the mean."""
    return Family((1,), lambda mean: Normal(mean, jnp.full((1,), 0.5 * np.log(variance))))


_, Z1 = toys.gaussian_product(0.0, A**2 + T**2, 0.0, S**2)
_, Z2_GIVEN_Z1 = toys.gaussian_product(0.0, 1.0, 0.0, T**2 / A**2)
_, Z2_GIVEN_X = toys.gaussian_product(0.0, 1.0, 0.0, (T**2 + S**2) / A**2)


def chain(upper_slope=Z2_GIVEN_Z1 * A / T**2):
    """p(z2) = N(0, 1), p(z1 | z2) = N(A z2, T^2), p(x | z1) = N(z1, S^2), with q(z1 | x) q(z2 | z1) exact."""
    lower = Link(Conditional(linear(Z1 / S**2), gaussian(Z1)), Conditional(linear(1.0), gaussian(S**2)))
    upper = Link(Conditional(linear(upper_slope), gaussian(Z2_GIVEN_Z1)), Conditional(linear(A), gaussian(T**2)))
    return bottom_up_chain([lower, upper], priors.normal(1), DATA)


def ladder(slope=Z2_GIVEN_X * A / (T**2 + S**2), doubt=S**2):
    """The same with q(z2 | x) and q(z1 | x, z2), the product of what x says, N(x, doubt), and of p(z1 | z2): exact too."""
    nothing = networks.from_function(lambda inputs, context: ())
    zero = networks.from_function(lambda inputs, context: jnp.zeros(1))
    value = networks.from_function(lambda inputs, context: inputs[1])
    top = TopDownGroup(Conditional(zero, gaussian(1.0)), Conditional(linear(slope), gaussian(Z2_GIVEN_X)), value)
    evidence = networks.from_function(lambda inputs, context: inputs[0])
    lower = TopDownGroup(
        Conditional(linear(A), gaussian(T**2)), Conditional(evidence, gaussian(doubt)), value, precision_weighted
    )
    encoder = networks.from_function(lambda x, context: (x, x))
    return top_down_hierarchy(encoder, nothing, [top, lower], Conditional(linear(1.0), gaussian(S**2)), DATA)


MODELS = {"chain": chain(), "ladder": ladder()}


@pytest.fixture(scope="module", params=MODELS)
def exact(request):
    """A model whose posterior is the true one, with its parameters and state."""
    model = MODELS[request.param]
    return model, *model.init(KEY)


def drawn(model, params, state, x, key, values=()):
    return model.infer(params, state, x, (), Settings())(key, values)


def test_every_sample_of_the_exact_posterior_weighs_the_evidence(exact):
    model, params, state = exact
    weights = jax.jit(jax.vmap(lambda x, key: log_weight(drawn(model, params, state, x, key), x)))(X, jax.random.split(KEY, 6))
    assert_allclose(weights, toys.two_group_evidence(X), atol=2e-5)


def test_only_the_top_down_order_has_all_its_rates_in_closed_form():
    for name, model in MODELS.items():
        top, lower = drawn(model, *model.init(KEY), X[0], KEY).latents
        assert np.shape(analytic(top)) == (1,)
        assert isinstance(lower.prior, AtSample) == (name == "chain")
        if name == "ladder":
            assert analytic(lower).shape == (1,)
        else:
            with pytest.raises(TypeError, match="AtSample"):
                analytic(lower)


def test_the_bound_is_the_evidence_where_the_lower_rate_of_a_chain_is_a_log_ratio_and_not_by_the_closed_form():
    """20,000 draws: 4 standard errors; what the closed form says is beyond the evidence by over 0.1 nats."""
    model, x = MODELS["chain"], X[1]
    params, state = model.init(KEY)

    def bounds(key):
        trace = drawn(model, params, state, x, key)
        top, lower = trace.latents
        fit = trace.likelihood.log_prob(x) - jnp.sum(analytic(top))
        wrong = ClosedForm()(lower._replace(prior=lower.prior.base), key)
        return fit - log_ratio(lower), fit - jnp.sum(wrong)

    right, wrong = jax.jit(jax.vmap(bounds))(jax.random.split(KEY, 20_000))
    evidence = toys.two_group_evidence(x)
    assert abs(right.mean() - evidence) < 4 * right.std() / np.sqrt(len(right))
    assert abs(wrong.mean() - evidence) > 0.1


@pytest.mark.parametrize("estimator", [sticking_the_landing, doubly_reparameterised])
def test_gradients_of_an_exact_posterior_vanish_sample_by_sample(exact, estimator):
    """Only where the second draw, at given values, scores each group given the values of its own parents."""
    model, params, state = exact
    objective = importance_weighted(3, estimator, monitors=())
    batch = Batch(X, (), jnp.ones(len(X)))

    def loss(params):
        return objective.loss(params, Carried(state, ()), KEY, batch, Settings(training=True), model)[0]

    gradients = jax.jit(jax.grad(loss))(params)
    assert max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(gradients["posterior"])) < 1e-5
    assert max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(gradients["generative"])) > 1e-2


@pytest.mark.slow_but("ladder-doubly_reparameterised-3")
@pytest.mark.parametrize(("estimator", "samples"), [(doubly_reparameterised, 3), (sticking_the_landing, 1)])
@pytest.mark.parametrize("model", [chain(0.2), ladder(doubt=4.0)], ids=["chain", "ladder"])
def test_estimators_are_unbiased_for_every_parameter_of_a_wrong_posterior(model, estimator, samples):
    """20,000 keys in pairs. The ladder's posterior reads the slope of its prior, which DReG has to treat as it does its own."""
    params, state = model.init(KEY)
    batch = Batch(X[:2], (), jnp.ones(2))

    def gradients(chosen):
        objective = importance_weighted(samples, chosen, monitors=())

        def loss(params, key):
            return objective.loss(params, Carried(state, ()), key, batch, Settings(training=True), model)[0]

        found = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, jax.random.split(KEY, 20_000))
        return np.stack([np.ravel(leaf) for leaf in jax.tree.leaves(found)])

    apart = gradients(estimator) - gradients(reparameterised)
    assert np.all(np.abs(apart.mean(axis=1)) < 4.5 * apart.std(axis=1) / np.sqrt(apart.shape[1]) + 1e-5)


def test_values_given_are_kept_and_scored_and_the_others_drawn(exact):
    model, params, state = exact
    first = drawn(model, params, state, X[0], KEY)
    z2, z1 = (latent.value for latent in first.latents)
    again = drawn(model, params, state, X[0], jax.random.key(7), (z2, z1))
    for latent, same in zip(first.latents, again.latents, strict=True):
        assert_array_equal(latent.value, same.value)
        assert_allclose(latent.log_q, same.log_q, rtol=1e-5)
    half = drawn(model, params, state, X[0], jax.random.key(7), (None, z1))
    assert_array_equal(half.latents[1].value, z1)
    assert half.latents[0].value != z2
    assert_array_equal(again.likelihood.mean, model.decode(params, state, (z2, z1), ()).mean)


def test_the_prior_is_sampled_down_with_a_temperature_of_each_group(exact):
    """Moments of 20,000 draws: z2 ~ N(0, 1), z1 = A z2 + T noise, within 5 standard errors; at T = 0 means."""
    model, params, state = exact

    def prior(keys, **options):
        return jax.jit(jax.vmap(lambda key: model.prior(params, state, key, (), **options)))(keys)

    z2, z1 = prior(jax.random.split(KEY, 20_000))
    assert_allclose(np.cov(z2[:, 0], z1[:, 0]), [[1, A], [A, A**2 + T**2]], atol=0.06)
    z2, z1 = prior(jax.random.split(KEY, 100), temperature=(1.0, 0.0))
    assert_allclose(z1, A * z2, rtol=1e-5)
    assert z2.std() > 0.5
    z2, z1 = prior(jax.random.split(KEY, 100), temperature=(0.0, 1.0))
    assert_array_equal(z2, np.zeros_like(z2))
    assert 0.5 * T < z1.std() < 1.5 * T
    kept = model.prior(params, state, KEY, (), (jnp.array([2.0]), None), 0.0)
    assert_allclose(np.concatenate(kept), [2.0, 2.0 * A], rtol=1e-6)
    with pytest.raises(ValueError, match="got 3 temperatures for a model with 2 latent groups; wanted one for each"):
        model.prior(params, state, KEY, (), (), (1.0, 1.0, 1.0))


def test_a_chain_of_one_link_is_the_variational_autoencoder():
    posterior, likelihood = posteriors.normal(2), likelihoods.normal((3,))
    up, down = networks.mlp((4,), posterior.outputs), networks.mlp((4,), likelihood.outputs)
    data, x = vae.Data((3,), "real"), jnp.array([0.3, -1.0, 0.5])
    one = bottom_up_chain([Link(Conditional(up, posterior), Conditional(down, likelihood))], priors.normal(2), data)
    plain = vae.models.variational_autoencoder(up, down, posterior, priors.normal(2), likelihood, data)
    params, state = plain.init(KEY)
    own, own_state = one.init(KEY)
    own["posterior"]["layer_1"]["network"] = params["posterior"]
    own["generative"]["layer_1"]["network"] = params["generative"]["decoder"]
    z = (jnp.array([0.2, -0.7]),)
    found, wanted = drawn(one, own, own_state, x, KEY, z), drawn(plain, params, state, x, KEY, z)
    assert_array_equal(log_weight(found, x), log_weight(wanted, x))
    assert_array_equal(analytic(found.latents[0]), analytic(wanted.latents[0]))


def test_an_estimator_that_stops_the_posterior_leaves_the_pseudo_inputs_of_a_chain_their_encoder():
    posterior, likelihood = posteriors.normal(2), likelihoods.normal((3,))
    up, down = networks.mlp((4,), posterior.outputs), networks.mlp((4,), likelihood.outputs)
    data = vae.Data((3,), "real")
    prior = priors.vamp((3,), 3)
    chain = bottom_up_chain([Link(Conditional(up, posterior), Conditional(down, likelihood))], prior, data)
    params, state = chain.init(KEY)

    def log_prior(encoder):
        own = frozen_posterior(params | {"posterior": encoder})
        trace = chain.infer(own, state, jnp.ones(3), (), Settings())(KEY, (jnp.array([0.2, -0.7]),))
        return trace.latents[0].prior.log_prob(trace.latents[0].value)

    gradient = jax.grad(log_prior)(params["posterior"])
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient)) > 0.0


@pytest.mark.parametrize(("log_std", "other"), [(0.3, -0.4), (-12.0, 12.0), (14.0, -14.0), (3.0, 3.0)])
def test_the_product_of_two_gaussians(log_std, other):
    first, second = Normal(jnp.array([1.5]), jnp.array([log_std])), Normal(jnp.array([-0.5]), jnp.array([other]))
    mean, variance = toys.gaussian_product(1.5, np.exp(2 * log_std), -0.5, np.exp(2 * other))
    found = precision_weighted(first, second)
    assert_allclose(found.mean, [mean], rtol=1e-5)
    assert_allclose(found.log_std, [0.5 * np.log(variance)], rtol=1e-5)
    gradients = jax.grad(lambda p: precision_weighted(first, p).mean[0] + precision_weighted(first, p).log_std[0])(second)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradients))
    assert as_inferred(first, second) is first


def test_groups_that_do_not_chain_are_refused_naming_both():
    of = {n: posteriors.normal(n) for n in (1, 2)}
    net = {n: networks.mlp((), of[n].outputs) for n in (1, 2)}
    link = Link(Conditional(net[2], of[2]), Conditional(net[1], of[1]))
    with pytest.raises(ValueError, match=r"likelihood of layer 2 is over .* \(1,\), and the posterior of layer 1 .* \(2,\)"):
        bottom_up_chain([link, link], priors.normal(2), DATA)
    group = TopDownGroup(Conditional(net[1], of[1]), Conditional(net[2], of[2]), net[1])
    with pytest.raises(ValueError, match=r"prior of group 0 is over .* \(1,\), and the posterior of group 0 .* \(2,\)"):
        top_down_hierarchy(net[1], net[1], [group], Conditional(net[1], of[1]), DATA)
    with pytest.raises(ValueError, match="no links"):
        bottom_up_chain([], priors.normal(2), DATA)
    with pytest.raises(ValueError, match="no groups"):
        top_down_hierarchy(net[1], net[1], [], Conditional(net[1], of[1]), DATA)


def test_networks_that_do_not_fit_their_families_are_refused_before_training():
    narrow = Conditional(networks.mlp((), (3,)), posteriors.normal(2))
    fitting = Conditional(networks.mlp((), (4,)), posteriors.normal(2))
    model = bottom_up_chain([Link(narrow, Conditional(networks.mlp((), (1,)), gaussian(1.0)))], priors.normal(2), DATA)
    with pytest.raises(ValueError, match=r"posterior of layer 1 gives outputs of shape \(3,\), but its family reads \(4,\)"):
        jax.eval_shape(model.init, KEY)
    dropping = Conditional(networks.mlp((3,), (1,), dropout=0.5), gaussian(1.0))
    with pytest.raises(ValueError, match="likelihood of layer 1 got a stochastic network"):
        jax.eval_shape(bottom_up_chain([Link(fitting, dropping)], priors.normal(2), DATA).init, KEY)
    one = networks.from_function(lambda x, context: (x,))
    group = TopDownGroup(fitting, fitting, networks.from_function(lambda inputs, context: inputs[1]))
    model = top_down_hierarchy(one, networks.from_function(lambda i, c: jnp.zeros(1)), [group, group], fitting, DATA)
    with pytest.raises(ValueError, match=r"evidence of shape \(\(1,\),\), but there are 2 groups"):
        jax.eval_shape(model.init, KEY)
