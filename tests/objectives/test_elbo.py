"""The ELBO and what is composed with it: every part's number, its players, and the models it is refused for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy.stats import norm

from vae import discrepancies, networks
from vae.objectives import (
    Monitor,
    Observed,
    absolute,
    adversarial,
    aggressive,
    analytic,
    capacity,
    collapse,
    combined_importance_weighted,
    elbo,
    extra_rate,
    factorising,
    free_bits,
    geometric_jensen_shannon,
    hold_at_zero_gradient,
    importance_weighted,
    interpolating_jensen_shannon,
    log_ratio,
    maximum_mean_discrepancy,
    moment_matching,
    no_rate,
    partially_importance_weighted,
    perceptual,
    total_correlation,
)
from vae.settings import Settings
from vae.testing import linear_gaussian, linear_gaussian_data
from vae.testing.objective import with_noise_of_example
from vae.training.optimisers import by_player
from vae.training.state import initial_state
from vae.training.step import gradients_by_player, make_train_step
from vae.types import Batch, Carried

N, SIZE = 6, 50
MODEL = linear_gaussian()
X = np.asarray(linear_gaussian_data(jax.random.key(0), N))
KEY = jax.random.key(7)
DISCRIMINATOR = networks.mlp((8,), ())


def features(x):
    return {"square": jnp.square(x), "sum": jnp.sum(x)}


KERNEL = discrepancies.inverse_multiquadric_kernel((0.5, 2.0))
PARTS = [
    maximum_mean_discrepancy(KERNEL),
    maximum_mean_discrepancy(KERNEL, discrepancies.mmd_biased, level=3.0, name="biased"),
    total_correlation(SIZE),
    *moment_matching(discrepancies.covariance_of_aggregate),
    perceptual(features, level=0.5),
    extra_rate(absolute(2.0), 0.25, "l1"),
    extra_rate(geometric_jensen_shannon(0.3), 0.0, "js"),
    extra_rate(interpolating_jensen_shannon(0.3), 0.0, "skewed"),
]


def kernel(a, b):
    return sum(c / (c + np.sum((a[:, None] - b[None]) ** 2, -1)) for c in (0.5, 2.0))


def jensen_shannon(mean, std, weight, skew):
    """(1-w) KL(q || N_s) + w KL(p || N_s), p = N(0, 1), N_s of precision (1-s)/std^2 + s; batch mean of the sum."""
    precision = (1 - skew) / std**2 + skew
    centre, variance = (1 - skew) * mean / std**2 / precision, 1 / precision

    def kl(mean, std):
        return 0.5 * (std**2 / variance + (mean - centre) ** 2 / variance - 1 + np.log(variance / std**2))

    return np.mean(np.sum((1 - weight) * kl(mean, std) + weight * kl(0.0, 1.0), axis=1))


@pytest.fixture(scope="module")
def composed():
    """Everything in one loss and one program, with noise that can be drawn again outside; and the same numbers in NumPy."""
    objective, model = elbo(regularisers=PARTS), with_noise_of_example(MODEL, KEY)
    params, state = MODEL.init(KEY)
    batch = Batch(x=X, context=(jnp.arange(N), ()), weight=jnp.ones(N))
    loss = jax.jit(lambda s: objective.loss(params, Carried(state, ()), KEY, batch, Settings(s, training=True), model))
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(N))

    def one(key, x):
        draw = MODEL.infer(params, state, x, (), Settings())
        trace = draw(key)
        prior = MODEL.prior(params, state, key)[0]
        return trace.latents[0].value, trace.latents[0].posterior, trace.likelihood.mean, trace.likelihood.log_prob(x), prior

    z, q, mean, log_likelihood, prior = jax.tree.map(np.asarray, jax.vmap(one)(keys, X))
    return loss, z, q, mean, log_likelihood, prior


LEVELS = {"mmd": 0.7, "biased": 3, "total_correlation": 5, "off_diagonal": 10, "diagonal": 100, "perceptual": 0.5, "l1": 0.25}


def log_densities_of(z, q):
    """ln q(z_i | x_j) per dimension; row: the value, column: the posterior."""
    return norm.logpdf(z[:, None], q.mean[None], np.exp(q.log_std)[None])


def parts_in_numpy(z, q, mean, prior):
    """Every part by its name."""
    m, std = q.mean, np.exp(q.log_std)
    within, across = kernel(z, z) + kernel(prior, prior), kernel(z, prior)
    log_densities = log_densities_of(z, q)
    weights = np.exp(np.asarray(discrepancies.stratified_weights(jnp.ones(N), SIZE)))
    joint = np.log(np.sum(weights * np.exp(log_densities.sum(-1)), axis=1))
    marginals = np.log(np.sum(weights[..., None] * np.exp(log_densities), axis=1)).sum(-1)
    covariance = np.cov(m.T, ddof=0) + np.diag(np.mean(std**2, axis=0))
    return {
        "mmd": (within.sum() - np.trace(within)) / (N * (N - 1)) - 2 * across.mean(),
        "biased": within.mean() - 2 * across.mean(),
        "total_correlation": np.mean(joint - marginals),
        "off_diagonal": 2 * covariance[0, 1] ** 2,
        "diagonal": np.sum((np.diagonal(covariance) - 1) ** 2),
        "perceptual": 0.5 * np.mean(np.sum((mean**2 - X**2) ** 2, 1) + (mean.sum(1) - X.sum(1)) ** 2),
        "l1": np.mean(np.abs(z).sum(1) / 2),
        "js": jensen_shannon(m, std, weight=0.3, skew=0.3),
        "skewed": jensen_shannon(m, std, weight=0.3, skew=0.7),
    }


def kl_in_numpy(q):
    """KL of every posterior from the standard normal prior, per dimension."""
    return 0.5 * (q.mean**2 + np.exp(2 * q.log_std) - 1 - 2 * q.log_std)


def test_every_part_against_numpy(composed):
    loss, z, q, mean, _, prior = composed
    _, (_, aux) = loss({"mmd": 0.7})
    for name, number in parts_in_numpy(z, q, mean, prior).items():
        assert aux["metrics"][name] == pytest.approx(number, rel=1e-3, abs=1e-5), name


def test_the_loss_is_the_sum_of_its_parts_at_their_levels(composed):
    loss, z, q, mean, log_likelihood, prior = composed
    value, _ = loss({"mmd": 0.7})
    parts, kl = parts_in_numpy(z, q, mean, prior), kl_in_numpy(q).sum(axis=1).mean()
    total = -log_likelihood.mean() + kl + sum(level * parts[name] for name, level in LEVELS.items())
    assert value == pytest.approx(total, rel=1e-4)
    other, _ = loss({"mmd": 0.7, "likelihood": 0.25, "beta": 3.0})
    assert other - value == pytest.approx(0.75 * log_likelihood.mean() + 2 * kl, rel=1e-3)


def test_what_is_watched_against_numpy(composed):
    loss, z, q, *_ = composed
    _, (_, aux) = loss({"mmd": 0.7})
    log_densities = log_densities_of(z, q)
    mixture = np.log(np.mean(np.exp(log_densities.sum(-1)), axis=1))
    assert aux["metrics"]["mutual_information/0"] == pytest.approx(
        np.mean(np.diagonal(log_densities.sum(-1)) - mixture), rel=1e-3
    )
    np.testing.assert_allclose(aux["metrics"]["kl/0"], kl_in_numpy(q).mean(axis=0), rtol=1e-4)
    assert aux["metrics"]["active_units/0"] == np.sum(q.mean.var(axis=0) > 0.01) == 2


# Players


def gradients_of(objective, model=MODEL, key=KEY):
    params, state = model.init(KEY)
    own, carried = objective.init(jax.random.key(8))
    params = params | {"objective": own}
    batch = Batch(x=X, context=(), weight=jnp.ones(N))

    def losses(params):
        return objective.loss(params, Carried(state, carried), key, batch, Settings(training=True), model)

    def everything(params):
        each = {p: jax.grad(lambda q, p=p: losses(q)[0][p])(params) for p in params}
        return gradients_by_player(losses, params)[0], each, losses(params)[0], losses(params)[1][1]["metrics"]

    return jax.jit(everything)(params)


@pytest.mark.parametrize("part", [factorising, adversarial])
def test_discriminator_is_a_player_of_its_own(part):
    """Its loss reaches nobody else; what the model pays for its opinion does not reach it, though it depends on it."""
    used, each, losses, metrics = gradients_of(elbo(regularisers=[part(DISCRIMINATOR, 2, level=2.0)]))
    leaves = jax.tree.leaves
    for player in ("posterior", "generative"):
        assert all(np.all(g == 0) for g in leaves(each["objective"][player]))
        chosen = zip(leaves(used[player]), leaves(each[player][player]), strict=True)
        assert all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in chosen)
    assert any(np.any(g != 0) for g in leaves(each["posterior"]["objective"]))
    for a, b in zip(leaves(used["objective"]), leaves(each["objective"]["objective"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert np.any(a != 0) or a.size == 1
    assert losses["posterior"] == losses["generative"]
    assert losses["objective"] == pytest.approx(np.log(2), abs=0.4)
    assert len([name for name in metrics if name.startswith("density_ratio")]) == 1


def test_a_discriminator_at_its_optimum_measures_the_divergence():
    """Adversarial, with codes N(m, 1) against a prior N(0, 1) the best logit is linear: mean l = KL(q || p) = |m|^2 / 2."""
    linear = networks.mlp((), ())
    part = adversarial(linear, 2)
    shift = jnp.array([0.8, -0.4])
    keys = jax.random.split(jax.random.key(3), 2)
    codes, draws = jax.random.normal(keys[0], (4000, 2)) + shift[None], jax.random.normal(keys[1], (4000, 2))
    collected, weight = (codes, draws), jnp.ones(4000)
    optimiser = optax.adam(0.05)

    def step(carry, _):
        params, state = carry
        updates, state = optimiser.update(jax.grad(part.own_loss)(params, collected, weight, KEY), state)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def trained(params):
        (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), length=300)
        return part.penalty(params, collected, weight, KEY), part.own_loss(params, collected, weight, KEY)

    penalty, loss = trained(part.init(KEY))
    assert penalty == pytest.approx(float(shift @ shift) / 2, abs=0.06)
    assert loss < np.log(2)


@pytest.mark.slow
def test_a_discriminator_of_halves_tells_the_first_from_the_permuted_second():
    """One latent, whose permutation changes no mean: softplus(-l) over the first half, softplus(l) over the second."""
    part = factorising(DISCRIMINATOR, 1, halves=True)
    params = part.init(KEY)
    codes = jnp.array([[0.3], [jnp.nan], [-1.2], [2.0], [0.7], [-0.4]])
    weight = jnp.ones(6).at[1].set(0.0)

    def softplus(sign, rows):
        logits = jax.vmap(lambda z: DISCRIMINATOR.apply(params, {}, z)[0])(codes[rows])
        return np.mean(np.log1p(np.exp(sign * np.asarray(logits, np.float64).reshape(-1))))

    wanted = 0.5 * (softplus(-1, jnp.array([0, 2])) + softplus(1, jnp.array([3, 4, 5])))
    assert part.own_loss(params, codes, weight, KEY) == pytest.approx(wanted, rel=1e-5)
    both = 0.5 * sum(softplus(sign, jnp.array([0, 2, 3, 4, 5])) for sign in (-1, 1))
    assert factorising(DISCRIMINATOR, 1).own_loss(params, codes, weight, KEY) == pytest.approx(both, rel=1e-5)
    assert abs(both - wanted) > 1e-3
    assert np.all(np.isfinite(jax.tree.leaves(jax.grad(part.own_loss)(params, codes, weight, KEY))[0]))


def test_partially_importance_weighted_gives_each_player_its_own_gradient():
    model = toys.linear_gaussian()
    params, state = model.init(KEY)
    objective, batch = partially_importance_weighted(2, 3), Batch(jnp.ones((2, 4)), (), jnp.ones(2))

    def losses(params):
        return objective.loss(params, Carried(state, ()), KEY, batch, Settings(training=True), model)

    @jax.jit
    def compared(params):
        each = {p: jax.grad(lambda q, p=p: losses(q)[0][p])(params) for p in params}
        return gradients_by_player(losses, params)[0], each

    used, each = compared(params | {"posterior": jax.tree.map(lambda leaf: 0.7 * leaf, params["posterior"])})
    for player, other in (("posterior", "generative"), ("generative", "posterior")):
        got, own, foreign = (
            np.concatenate([g.reshape(-1) for g in jax.tree.leaves(t[player])]) for t in (used, each[player], each[other])
        )
        np.testing.assert_allclose(got, own, rtol=1e-4, atol=1e-6)
        assert not np.allclose(got, foreign, rtol=1e-2)


# Every objective with every model, or a sentence


OBJECTIVES = {
    "analytic": elbo(),
    "log ratio": elbo(log_ratio),
    "capacity": elbo(log_ratio, rate_term=capacity()),
    "free bits": elbo(log_ratio, rate_term=free_bits(0.5)),
    "Jensen-Shannon": elbo(geometric_jensen_shannon()),
    "WAE-MMD": elbo(no_rate, regularisers=[maximum_mean_discrepancy(KERNEL)]),
    "TC": elbo(log_ratio, regularisers=[total_correlation(100)]),
    "DIP": elbo(log_ratio, regularisers=moment_matching()),
    "FactorVAE": elbo(log_ratio, regularisers=[factorising(DISCRIMINATOR, 2)]),
    "IWAE": importance_weighted(3),
    "CIWAE": combined_importance_weighted(3),
    "PIWAE": partially_importance_weighted(2, 3),
    "aggressive": aggressive(elbo(log_ratio)),
}
MODELS = {"one": (toys.linear_gaussian(), 4), "down": (toys.two_groups(False), 1), "up": (toys.two_groups(True), 1)}
REFUSED = {("analytic", "up"): "AtSample", ("Jensen-Shannon", "up"): "AtSample"}


@pytest.mark.slow_but("IWAE", "TC", "FactorVAE")
@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_every_objective_steps_with_every_model_or_refuses(objective_name):
    """Traced through the real train step; states keep their shapes, so a scan can carry them."""
    objective = OBJECTIVES[objective_name]
    for model_name, (model, width) in MODELS.items():
        optimiser = optax.adam(1e-3)
        batch = Batch(jnp.ones((4, width)), (), jnp.ones(4))

        def stepped(model=model, batch=batch, optimiser=optimiser):
            state = initial_state(model, objective, optimiser, KEY)
            return state, make_train_step(model, objective, optimiser)(state, batch)

        if sentence := REFUSED.get((objective_name, model_name)):
            with pytest.raises(TypeError, match=sentence):
                jax.eval_shape(stepped)
            continue
        before, (after, metrics) = jax.eval_shape(stepped)
        other = objective_name in ("Jensen-Shannon", "WAE-MMD")
        logged = {name.partition("/")[0] for name in metrics}
        assert logged & {"rate", "kl", "elbo"} == ({"rate"} if other else {"kl", "elbo"}), "only a KL is called one"
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), before) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), after
        )


def test_two_regularisers_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two regularisers are called mmd"):
        elbo(regularisers=[maximum_mean_discrepancy(KERNEL)] * 2)


def test_codes_that_are_no_real_numbers_have_no_distance():
    from vae.objectives.regularisers import real_vector

    with pytest.raises(TypeError, match="got int32"):
        real_vector((jnp.arange(3),))


# Aggressive encoder steps


def test_the_generative_model_waits_while_the_encoder_learns():
    """n = 2: it moves at every third step, until the mutual information stops rising; then at every step."""
    model, objective = toys.linear_gaussian(), aggressive(elbo(), encoder_steps=2, window=6)
    optimiser = by_player({"posterior": optax.adam(0.02), "generative": hold_at_zero_gradient(optax.adam(0.02))})
    state = initial_state(model, objective, optimiser, KEY)
    state = state._replace(
        params=state.params | {"posterior": jax.tree.map(lambda leaf: 0.1 * leaf, state.params["posterior"])}
    )
    batch = Batch(x=jnp.asarray(np.random.default_rng(0).normal(size=(64, 4)), jnp.float32), context=(), weight=jnp.ones(64))
    step = make_train_step(model, objective, optimiser)

    def one(state, _):
        after, metrics = step(state, batch)
        moved = jax.tree.map(lambda a, b: jnp.any(a != b), after.params, state.params)
        return after, (moved, metrics)

    _, (moved, metrics) = jax.jit(lambda s: jax.lax.scan(one, s, length=300))(state)
    active, generative = np.asarray(metrics["aggressive"]), np.asarray(moved["generative"]["loadings"])
    information = np.asarray(metrics["mutual_information/0"])
    assert np.all(moved["posterior"]["weights"])
    stopped = int(np.argmin(active))
    assert 12 <= stopped < 300
    assert stopped % 6 == 0
    assert np.all(active[:stopped] == 1)
    assert np.all(active[stopped:] == 0)
    windows = information[:stopped].reshape(-1, 6).mean(axis=1)
    assert np.all(np.diff(windows)[:-1] > 0)
    assert windows[-1] < windows[-2]
    np.testing.assert_array_equal(generative[:stopped], np.arange(stopped) % 3 == 2)
    assert np.all(generative[stopped:])


def test_aggressive_wants_the_mutual_information():
    objective = aggressive(elbo(analytic, monitors=()))
    with pytest.raises(ValueError, match="reports no mutual information"):
        jax.eval_shape(
            lambda: make_train_step(toys.linear_gaussian(), objective, optax.sgd(0.1))(
                initial_state(toys.linear_gaussian(), objective, optax.sgd(0.1), KEY), Batch(jnp.ones((4, 4)), (), jnp.ones(4))
            )
        )


# Names in the log


def log_of(objective):
    batch = Batch(x=X, context=(), weight=jnp.ones(N))
    params, state = MODEL.init(KEY)
    return jax.eval_shape(lambda: objective.loss(params, Carried(state, ()), KEY, batch, Settings(training=True), MODEL))[1][1]


def test_a_metric_keeps_the_name_that_its_maker_gave_it():
    """Nothing is renamed by how its name begins; a monitor is told what the rates are called."""
    told = Monitor(each=lambda view: (), observe=lambda collected, terms, weight, rate: Observed({f"mine/{rate}": weight}))
    parts = [extra_rate(absolute(), 0.1, "kl/mine"), extra_rate(absolute(), 0.1, "mutual_information/mine")]
    for rates, rate in ((analytic, "kl"), (geometric_jensen_shannon(), "rate")):
        metrics = log_of(elbo(rates, regularisers=parts, monitors=(collapse, told)))["metrics"]
        made = {part.name for part in parts} | {f"mine/{rate}"} | ({"active_units_by_kl/0"} if rate == "kl" else set())
        assert set(metrics) == {f"{rate}/0", "active_units/0", "mutual_information/0"} | made


def test_aggressive_reads_a_field_and_no_name():
    named_alike = extra_rate(absolute(), 0.1, "mutual_information/mine")
    objective = aggressive(elbo(regularisers=[named_alike], monitors=()))
    aux = log_of(elbo(regularisers=[named_alike], monitors=()))
    with pytest.raises(ValueError, match="reports no mutual information"):
        objective.update(objective.init(KEY)[1], aux, KEY)
    assert [number.shape for number in log_of(elbo())["mutual_information"]] == [()]
