"""The hard cases that the contract has to carry, each through the real train step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vae import likelihoods, models, networks, posteriors, priors
from vae.distributions import Normal, Transformed, standard_normal
from vae.flows import inverse_autoregressive
from vae.models import given, latent_group
from vae.objectives import (
    analytic,
    batch_mean,
    doubly_reparameterised,
    elbo,
    importance_weighted,
    log_ratio,
    no_rate,
    over_batch,
    plain,
    reparameterised,
    sticking_the_landing,
    terms_of,
)
from vae.settings import Settings
from vae.spec import Data
from vae.training.optimisers import by_player
from vae.training.state import initial_state
from vae.training.step import gradients_by_player, make_train_step
from vae.types import Batch, Carried, Model, Objective, Trace

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
BINARY = (X > 0).astype(jnp.float32)


def batch_of(x):
    return Batch(x=x, context=(), weight=jnp.ones(len(x)))


def loss_of(model, objective, params, state, key, batch, settings=None):
    settings = Settings(settings or {}, training=True)
    return objective.loss(params, Carried(state, ()), key, batch, settings, model)


def posterior_gradient(model, objective, params, state, key, x):
    gradient = jax.grad(lambda p: loss_of(model, objective, p, state, key, batch_of(x))[0])(params)
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(gradient["posterior"])])


SGD = optax.sgd(0.1)


def one_step(model, objective, x, optimiser=SGD, steps=1):
    state = initial_state(model, objective, optimiser, jax.random.key(3))
    step = jax.jit(make_train_step(model, objective, optimiser))
    before = state
    for _ in range(steps):
        state, metrics = step(state, batch_of(x))
    return before, state, metrics


# Bottom-up hierarchy


def test_bottom_up_hierarchy_refuses_the_closed_form_and_trains_on_the_log_ratio():
    model = toys.two_groups(bottom_up=True)
    x = X[:, :1]
    with pytest.raises(TypeError, match="AtSample"):
        one_step(model, elbo(analytic), x)
    _, _, metrics = one_step(model, elbo(log_ratio), x)
    assert metrics["elbo"] == pytest.approx(toys.two_group_evidence(np.asarray(x)).mean(), abs=1e-5)


def test_the_closed_form_is_right_where_the_prior_comes_first():
    model = toys.two_groups(bottom_up=False)
    x = jnp.repeat(X[:1, :1], 20_000, axis=0)
    _, _, metrics = one_step(model, elbo(analytic), x)
    assert metrics["elbo"] == pytest.approx(toys.two_group_evidence(np.asarray(x[:1])).item(), abs=0.02)


# Moving-average vector quantisation


def test_codebook_follows_its_moving_average_and_gets_no_gradient():
    model = toys.vector_quantised()
    before, after, metrics = one_step(model, elbo(), X)
    codebook = np.asarray(before.model_state["total"] / before.model_state["count"][:, None])
    encoded = np.asarray(X) @ np.asarray(before.params["posterior"]["encoder"]).T
    index = ((encoded[:, None] - codebook[None]) ** 2).sum(-1).argmin(axis=1)
    count, total = np.zeros(5), np.zeros((5, 2))
    for i, code in enumerate(index):
        count[code] += 1
        total[code] += encoded[i]
    np.testing.assert_allclose(after.model_state["count"], 0.9 + 0.1 * count, rtol=1e-6)
    np.testing.assert_allclose(after.model_state["total"], 0.9 * codebook + 0.1 * total, rtol=1e-5, atol=1e-6)
    penalty = 0.25 * ((encoded - codebook[index]) ** 2).sum(axis=1).mean()
    assert metrics["loss"] == pytest.approx(float(penalty - metrics["log_likelihood"]), rel=1e-5)


def test_the_codebook_is_never_copied_per_example():
    model, objective, optimiser = toys.vector_quantised(codes=64), elbo(), optax.sgd(0.1)
    state = initial_state(model, objective, optimiser, jax.random.key(0))
    jaxpr = str(jax.make_jaxpr(make_train_step(model, objective, optimiser))(state, batch_of(X)))
    assert "f32[8,64,2]" in jaxpr, "the distances are taken per example, so the text is searched in the right place"
    assert "f32[64,2]" in jaxpr
    copied = [line for line in jaxpr.splitlines() if "broadcast_in_dim" in line and "f32[8,64,2]" in line.split("=")[0]]
    assert not copied


# Inverse autoregressive posterior


FLOW = inverse_autoregressive(2, hidden=(8,))


def flow_model() -> Model:
    """toys.linear_gaussian with a flow behind its posterior."""
    base = toys.linear_gaussian()

    def init(key):
        params, state = base.init(key)
        return params | {"posterior": params["posterior"] | {"flow": FLOW.init(key)}}, state

    def infer(params, state, x, context, settings):
        posterior = params["posterior"]
        q = Transformed(Normal(mean=posterior["weights"] @ x, log_std=posterior["log_std"]), FLOW, posterior["flow"])

        def draw(key, values=()):
            z = latent_group(q, standard_normal(2), key, given(values, 0))
            return Trace(likelihood=base.decode(params, state, (z.value,), context), latents=(z,))

        return draw

    return base._replace(init=init, infer=infer)


def test_inverse_autoregressive_posterior_trains_below_the_evidence_and_never_inverts():
    model = flow_model()
    _, _, metrics = one_step(model, elbo(log_ratio), X, optax.adam(0.01), steps=30)
    evidence = toys.linear_gaussian_evidence(np.asarray(X)).mean()
    assert np.isfinite(metrics["elbo"])
    assert metrics["elbo"] < evidence + 1.0
    state = initial_state(model, elbo(log_ratio), optax.sgd(0.1), jax.random.key(0))
    jaxpr = str(jax.make_jaxpr(make_train_step(model, elbo(log_ratio), optax.sgd(0.1)))(state, batch_of(X)))
    assert "scan[" not in jaxpr
    assert "while[" not in jaxpr


def test_flow_posterior_scores_its_own_sample_alike_when_it_is_given():
    model = flow_model()
    params, state = model.init(jax.random.key(0))
    draw = model.infer(params, state, X[0], (), Settings())
    drawn = draw(jax.random.key(1)).latents[0]
    given = draw(jax.random.key(2), (drawn.value,)).latents[0]
    assert given.log_q == pytest.approx(float(drawn.log_q), abs=1e-4)


# Marginalised labels


def marginalised(classes: int = 3) -> Objective:
    """- log p(x) is bounded by - sum_y q(y | x) [ ELBO(x, y) - log q(y | x) ]. (Kingma et al. 2014, eq. 7.)"""

    def loss(params, carried, key, batch, settings, model):
        def example(key, x, context):
            draw = model.infer(params, carried.model, x, context, settings)

            def given(y):
                trace = draw(key, (y, None))
                return terms_of(trace, x, (log_ratio, analytic), key), trace.latents[0].log_q

            terms, log_q = jax.vmap(given)(jnp.arange(classes))
            weight = jnp.exp(log_q)
            expected = jax.tree.map(lambda leaf: jnp.tensordot(weight, leaf, 1), terms)
            return expected, {}

        terms, statistics = over_batch(example, key, batch)
        per_example = -terms.log_likelihood + sum(rate.reshape(len(rate), -1).sum(axis=1) for rate in terms.rates)
        return batch_mean(per_example, batch.weight), (terms, {"statistics": statistics})

    return plain(loss)


def test_labels_are_marginalised_by_giving_each_value():
    model = toys.labelled()
    before, after, metrics = one_step(model, marginalised(), BINARY)
    params, state = before.params, before.model_state
    loss_key = jax.random.split(jax.random.fold_in(before.key, before.step), 3)[0]
    total = 0.0
    for x, key in zip(BINARY, jax.random.split(loss_key, len(BINARY))):
        draw = model.infer(params, state, x, (), Settings())
        logits = np.asarray(params["posterior"]["label"] @ x, np.float64)
        q = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        for y in range(3):
            trace = draw(key, (jnp.array(y), None))
            code = trace.latents[1]
            kl = 0.5 * np.sum(np.asarray(code.posterior.mean) ** 2 + np.exp(-2.0) - 1.0 + 2.0)
            total -= q[y] * (float(trace.likelihood.log_prob(x)) - kl - np.log(q[y]) + np.log(1 / 3))
    assert metrics["loss"] == pytest.approx(total / len(BINARY), rel=1e-4)
    changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before.params, after.params)
    assert all(jax.tree.leaves(changed))


# Doubly reparameterised gradients with two groups


@pytest.mark.parametrize("bottom_up", [True, False])
@pytest.mark.parametrize(
    ("estimator", "vanishes"), [(reparameterised, False), (sticking_the_landing, True), (doubly_reparameterised, True)]
)
def test_path_gradients_vanish_at_the_exact_posterior(bottom_up, estimator, vanishes):
    model = toys.two_groups(bottom_up)
    params, state = model.init(jax.random.key(0))
    objective = importance_weighted(4, estimator)

    def gradient(key):
        return posterior_gradient(model, objective, params, state, key, X[:, :1])

    spread = np.std(jax.jit(jax.vmap(gradient))(jax.random.split(jax.random.key(1), 50)), axis=0)
    assert np.all(spread < 1e-5) if vanishes else np.all(spread > 1e-3)


@pytest.mark.slow
def test_doubly_reparameterised_gradient_is_unbiased_with_two_groups():
    """Against the total derivative, at a posterior that is off; stopping whole distributions instead would bias it."""
    model = toys.two_groups(bottom_up=True)
    params, state = model.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf * 0.6, params)
    keys = jax.random.split(jax.random.key(2), 20_000)

    def mean_gradient(estimator):
        objective = importance_weighted(3, estimator)

        def gradient(key):
            return posterior_gradient(model, objective, params, state, key, X[:2, :1])

        samples = np.asarray(jax.jit(jax.vmap(gradient))(keys), np.float64)
        return samples.mean(axis=0), samples.std(axis=0) / np.sqrt(len(samples))

    total, total_error = mean_gradient(reparameterised)
    double, double_error = mean_gradient(doubly_reparameterised)
    assert np.all(np.abs(total - double) < 4 * np.hypot(total_error, double_error))
    assert np.all(double_error < total_error)


# A second player


def adversarial() -> Objective:
    """A discriminator scores the latent; the encoder adds its score to the ELBO, the discriminator learns the opposite."""

    def init(key):
        return {"weight": jax.random.normal(key, (2,))}, {"seen": jnp.zeros(())}

    def loss(params, carried, key, batch, settings, model):
        def example(key, x, context):
            trace = model.infer(params, carried.model, x, context, settings)(key)
            return terms_of(trace, x, analytic, key), trace.latents[0].value

        terms, z = over_batch(example, key, batch)
        bound = batch_mean(terms.log_likelihood - terms.rates[0].sum(axis=1), batch.weight)
        score = jnp.tanh(z @ params["objective"]["weight"])
        losses = {
            "posterior": -bound + jnp.mean(score),
            "generative": -bound,
            "objective": -jnp.mean(jax.lax.stop_gradient(z) @ params["objective"]["weight"]),
        }
        return losses, (terms, {"statistics": {}, "seen": carried.objective["seen"] + len(z)})

    return Objective(init=init, loss=loss, update=lambda state, aux, key: {"seen": aux["seen"]})


def test_each_player_descends_its_own_loss():
    model, objective = toys.linear_gaussian(), adversarial()
    params, state = model.init(jax.random.key(0))
    own, carried = objective.init(jax.random.key(1))
    params = params | {"objective": own}

    def losses(params):
        settings = Settings(training=True)
        return objective.loss(params, Carried(state, carried), jax.random.key(2), batch_of(X), settings, model)

    gradients, _, _ = gradients_by_player(losses, params)
    for player in params:
        own_gradient = jax.grad(lambda p, player=player: losses(p)[0][player])(params)[player]
        for got, want in zip(jax.tree.leaves(gradients[player]), jax.tree.leaves(own_gradient), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    others = jax.grad(lambda p: losses(p)[0]["posterior"])(params)["objective"]["weight"]
    assert np.any(np.asarray(others) != 0), (
        "the encoder's loss does depend on the discriminator, whose gradient must not see it"
    )
    assert not np.allclose(gradients["objective"]["weight"], others)


def test_players_have_optimisers_and_state_of_their_own():
    optimisers = {"posterior": optax.sgd(0.0), "generative": optax.sgd(0.1), "objective": optax.adam(0.1)}
    before, after, metrics = one_step(toys.linear_gaussian(), adversarial(), X, by_player(optimisers))
    assert set(metrics) >= {"loss/posterior", "loss/generative", "loss/objective"}
    moved = {
        player: any(
            np.any(old != new) for old, new in zip(*map(jax.tree.leaves, (before.params[player], after.params[player])))
        )
        for player in after.params
    }
    assert moved == {"posterior": False, "generative": True, "objective": True}
    assert after.objective_state["seen"] == len(X)


def test_a_player_without_a_loss_or_an_optimiser_is_refused():
    losing = adversarial()._replace(loss=lambda *a: ({"posterior": 0.0}, (None, {})))
    with pytest.raises(ValueError, match=r"wanted one for each"):
        one_step(toys.linear_gaussian(), losing, X)
    with pytest.raises(ValueError, match="no optimiser for objective"):
        one_step(
            toys.linear_gaussian(), adversarial(), X, by_player({"posterior": optax.sgd(1.0), "generative": optax.sgd(1.0)})
        )


# Batch normalisation


def test_batch_normalisation_uses_the_batch_in_training_and_its_average_afterwards():
    data = Data(shape=(4,), space="real")
    posterior = posteriors.normal(2)
    model = models.variational_autoencoder(
        encoder=networks.mlp((6,), posterior.outputs, normalisation=networks.batch_norm()),
        decoder=networks.mlp((6,), (4,)),
        posterior=posterior,
        prior=priors.normal(2),
        likelihood=likelihoods.normal((4,)),
        data=data,
    )
    before, after, _ = one_step(model, elbo(), X)
    (old_mean, *_), (new_mean, *_) = (
        [leaf for path, leaf in jax.tree_util.tree_flatten_with_path(s.model_state)[0] if "mean" in jax.tree_util.keystr(path)]
        for s in (before, after)
    )

    def is_layer(node):
        return isinstance(node, dict) and "kernel" in node

    layers = [node for node in jax.tree.leaves(before.params["posterior"], is_leaf=is_layer) if is_layer(node)]
    kernel, bias = next((layer["kernel"], layer["bias"]) for layer in layers if layer["kernel"].shape == (4, 6))
    batch_mean_ = (np.asarray(X) @ np.asarray(kernel) + np.asarray(bias)).mean(axis=0)
    share = (np.asarray(new_mean) - np.asarray(old_mean)) / (batch_mean_ - np.asarray(old_mean))
    np.testing.assert_allclose(share, share[0], rtol=1e-4)
    assert 0 < share[0] < 0.5

    def reconstruct(x):
        return model.infer(after.params, after.model_state, x, (), Settings())(jax.random.key(0)).likelihood.mean

    alone = reconstruct(X[0])
    among = jax.vmap(reconstruct)(X)[0]
    np.testing.assert_allclose(alone, among, rtol=1e-5, atol=1e-6)


# Conditioning, deterministic encoders, skipped steps, sweeps


def test_a_deterministic_encoder_trains_without_a_rate_and_has_no_importance_weights():

    posterior = posteriors.deterministic(2)
    model = models.variational_autoencoder(
        encoder=networks.mlp((6,), posterior.outputs),
        decoder=networks.mlp((6,), (4,)),
        posterior=posterior,
        prior=priors.normal(2),
        likelihood=likelihoods.normal((4,)),
        data=Data(shape=(4,), space="real"),
    )
    _, _, metrics = one_step(model, elbo(no_rate), X)
    assert metrics["rate"] == 0
    assert not {"kl", "elbo"} & set(metrics), "what is not charged for is no KL, and leaves no bound"
    with pytest.raises(TypeError, match="has no density"):
        one_step(model, importance_weighted(5), X)


def test_a_step_without_a_finite_gradient_changes_nothing_and_is_counted():
    model = toys.linear_gaussian()
    optimiser, objective = optax.adam(0.1), elbo()
    state = initial_state(model, objective, optimiser, jax.random.key(3))
    step = jax.jit(make_train_step(model, objective, optimiser))
    bad, metrics = step(state, batch_of(X.at[0, 0].set(jnp.nan)))
    assert (bad.step, bad.skipped, metrics["skipped"]) == (1, 1, 1)
    for name in ("params", "optimiser_state", "model_state"):
        for a, b in zip(*map(jax.tree.leaves, (getattr(state, name), getattr(bad, name))), strict=True):
            np.testing.assert_array_equal(a, b)
    good, metrics = step(bad, batch_of(X))
    assert (good.step, good.skipped) == (2, 0)
    assert np.all(np.isfinite(np.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(good.params)])))


@pytest.mark.slow
def test_padding_is_exact():
    """An example of weight zero changes neither loss nor gradient, whatever it holds."""
    model, objective, key = toys.linear_gaussian(), elbo(), jax.random.key(2)
    params, state = model.init(jax.random.key(0))
    padded = Batch(x=X.at[5:].set(1e30), context=(), weight=jnp.array([1.0] * 5 + [0.0] * 3))

    def loss(params, weight):
        return loss_of(model, objective, params, state, key, padded._replace(weight=weight))[0]

    each = jax.vmap(loss, in_axes=(None, 0))(params, jnp.eye(8)[:5])
    assert loss(params, padded.weight) == pytest.approx(float(each.mean()), rel=1e-5)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(jax.grad(loss)(params, padded.weight)))


@pytest.mark.slow
def test_a_sweep_over_seeds_and_betas_is_one_more_vmap():
    model, objective, optimiser = toys.linear_gaussian(), elbo(), optax.adam(1.0)
    step = make_train_step(model, objective, optimiser)
    keys = jax.random.split(jax.random.key(0), 3)
    levels = {"beta": jnp.array([0.5, 1.0, 4.0]), "learning_rate": jnp.array([1e-2, 1e-2, 1e-3])}
    start = partial(initial_state, model, objective, optimiser)
    states = jax.vmap(lambda key, settings: start(key, settings))(keys, levels)
    swept, _ = jax.jit(jax.vmap(step, in_axes=(0, None)))(states, batch_of(X))
    for i in range(3):
        alone, _ = jax.jit(step)(start(keys[i], jax.tree.map(lambda v, i=i: v[i], levels)), batch_of(X))
        for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(swept.params), strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-5, atol=1e-6)


def test_beta_is_traced():
    model, objective = toys.linear_gaussian(), elbo()
    params, state = model.init(jax.random.key(0))
    loss = jax.jit(lambda beta: loss_of(model, objective, params, state, jax.random.key(2), batch_of(X), {"beta": beta}))
    (one, (terms, _)), (four, _) = loss(1.0), loss(4.0)
    assert four - one == pytest.approx(3.0 * float(np.mean(np.sum(terms.rates[0], axis=1))), rel=1e-5)
    assert loss._cache_size() == 1
