"""What may be called an ELBO and a KL: one rule, seen in training, in validation and in the report."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import logsumexp
from scipy.stats import norm

import vae
from vae import likelihoods
from vae.claims import claim_of, require_scored
from vae.distributions import (
    Affine,
    AtSample,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Deterministic,
    Masked,
    Normal,
    Poisson,
)
from vae.evaluation.report import report
from vae.models import latent_group
from vae.objectives import analytic, geometric_jensen_shannon, log_ratio
from vae.spaces import WORDS, can_score, is_likelihood
from vae.spec import Data
from vae.types import Model, Trace

X = np.random.default_rng(0).normal(size=(128, 4)).astype(np.float32)
GRAY = np.random.default_rng(1).random((128, 4, 4, 1)).astype(np.float32)
HOST = vae.Host(log_every=2, progress=False)
LEVELS = {"learning_rate": 0.01}


def trace_with(*latents, likelihood=None) -> Trace:
    return Trace(likelihood=Normal(jnp.zeros(4), jnp.zeros(4)) if likelihood is None else likelihood, latents=latents)


def group(posterior=None, prior=None):
    q = Normal(jnp.zeros(2), jnp.zeros(2)) if posterior is None else posterior
    return latent_group(q, Normal(jnp.ones(2), jnp.zeros(2)) if prior is None else prior, jax.random.key(0))


POINT = group(Deterministic(jnp.zeros(2)))
CASES = {
    "a bound": (trace_with(group()), analytic, "real", "kl", ""),
    "a log ratio": (trace_with(group(prior=AtSample(Normal(jnp.ones(2), jnp.zeros(2))))), log_ratio, "real", "kl", ""),
    "not known what of": (trace_with(group(), likelihood=Bernoulli(jnp.zeros(4))), analytic, None, "kl", ""),
    "another divergence": (
        trace_with(group()),
        geometric_jensen_shannon(),
        "real",
        "rate",
        "groups cost is no KL",
    ),
    "one group of two": (trace_with(group(), group()), (analytic, geometric_jensen_shannon()), "real", "rate", "no KL"),
    "no group": (trace_with(), analytic, "real", "rate", "no latent group, so nothing says what its code costs"),
    "a point": (trace_with(POINT), geometric_jensen_shannon(), "real", "rate", "no KL"),
    "gray": (
        trace_with(group(), likelihood=Bernoulli(jnp.zeros(4))),
        analytic,
        "unit_interval",
        "kl",
        r"Bernoulli is of zeros",
    ),
    "bits under a density": (trace_with(group()), analytic, "binary", "kl", "the data are zeros and ones"),
    "own scale": (
        trace_with(group(), likelihood=likelihoods.normal_optimal_std((4,)).build(jnp.zeros(4))),
        *(analytic, "real", "kl", "OptimalSigmaNormal is no density"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bound_is_claimed_only_where_there_is_one(case):
    trace, rates, space, rate, why = CASES[case]
    claim = claim_of(trace, rates, space)
    assert claim.rate == rate
    assert (claim.total, claim.is_bound) == (("elbo", True) if why == "" else ("score", False))
    assert why in claim.why


def test_a_point_has_no_bound_even_where_its_rate_is_called_a_kl():
    assert claim_of(trace_with(POINT), analytic, "real").why == "the posterior Deterministic has no density"


def test_every_space_has_words_and_takes_itself():
    for space in WORDS:
        assert is_likelihood(space, space)
        assert can_score(space, space)
    assert is_likelihood("binary", "count"), "a Poisson's probabilities of 0 and 1 are probabilities"
    assert not is_likelihood("count", "binary")


REFUSED = [("real", Bernoulli(jnp.zeros(2))), ("real", ContinuousBernoulli(jnp.zeros(2))), ("real", Poisson(jnp.zeros(2)))]
REFUSED += [
    ("count", Bernoulli(jnp.zeros(2))),
    ("uint8", Bernoulli(jnp.zeros(2))),
    ("tokens", Normal(jnp.zeros(2), jnp.zeros(2))),
]


@pytest.mark.parametrize(("space", "likelihood"), REFUSED)
def test_data_outside_a_likelihood_are_refused(space, likelihood):
    sentence = f"the data are {WORDS[space].values}, and the likelihood {type(likelihood).__name__} is of "
    with pytest.raises(ValueError, match="wanted a likelihood of such values") as refused:
        require_scored(likelihood, space)
    assert str(refused.value).startswith(sentence)


@pytest.mark.slow
def test_gray_pixels_under_a_bernoulli_are_a_score_in_training_validation_and_report():
    gray = vae.data.feed(GRAY, spec=Data(GRAY.shape[1:], "unit_interval"))
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[8], likelihood="bernoulli")
    experiment = vae.Experiment(vae.data.Splits(gray, gray, gray), model, steps=4, settings=LEVELS, validate_every=2)
    sentence = "and the likelihood Bernoulli is of zeros and ones: what is logged is called score"
    with pytest.warns(RuntimeWarning, match=sentence):
        fitted = vae.fit(experiment, host=HOST)
    for record in fitted.records:
        assert "elbo" not in record
        assert math.isclose(record["score"], record["log_likelihood"] - record["kl"], rel_tol=1e-5)
    found = report(fitted.trained, GRAY, jax.random.key(0), samples=3)
    assert (found["elbo"], found["nll"], found["bits_per_dim"]) == (None, None, None)
    assert found["score"] == pytest.approx(found["log_likelihood"] - found["kl"])
    assert "Bernoulli is of zeros and ones" in found["elbo_note"]


def test_a_real_table_under_a_bernoulli_is_refused_before_training():
    table = vae.data.feed(100 * X, spec=Data((4,), "real"))
    experiment = vae.Experiment(table, vae.reference_to(vae.models.mlp, latent_dim=2, likelihood="bernoulli"), steps=4)
    with pytest.raises(ValueError, match="the data are real numbers, and the likelihood Bernoulli is of zeros"):
        vae.fit(experiment, host=HOST)


@pytest.mark.slow
def test_another_divergence_has_one_name_everywhere():
    objective = vae.elbo(rates=geometric_jensen_shannon())
    experiment = vae.Experiment(vae.data.Splits(X, X[:10]), toys.linear_gaussian(), 4, objective, settings=LEVELS)
    fitted = vae.fit(experiment, host=HOST)
    for record in fitted.records:
        assert {"score", "rate"} < set(record)
        assert not {"elbo", "kl"} & set(record)
    trained = fitted.trained.replace(spec=Data((4,), "real"))
    found = report(trained, X, jax.random.key(0), samples=3, rates=objective.rates)
    assert (found["elbo"], found["kl"], found["kl_per_dimension"], found["active_units_by_kl"]) == (None, None, None, None)
    assert found["score"] == pytest.approx(found["log_likelihood"] - found["rate"])
    assert found["nll"] is not None, "importance sampling does not care how the run was charged"


# Codes


def test_an_unpriced_code_has_no_elbo_and_is_selected_by_its_score():
    experiment = vae.Experiment(vae.data.Splits(X, X[:10]), toys.vector_quantised(), 4, settings=LEVELS, validate_every=2)
    fitted = vae.fit(experiment, host=HOST)
    assert all("elbo" not in record and "kl" not in record for record in fitted.records)
    found = report(fitted.trained, X, jax.random.key(0), samples=3)
    assert (found["elbo"], found["kl"], found["nll"], found["active_units"]) == (None, None, None, None)
    assert "no latent group" in found["nll_note"]


def test_a_priced_code_costs_its_logarithm_and_bounds_the_evidence():
    """Against the evidence summed over all codes: log 1/K sum_k p(x | code k)."""
    model = toys.vector_quantised(codes=5, priced=True)
    experiment = vae.Experiment(vae.data.Splits(X, X[:10]), model, steps=6, settings=LEVELS, validate_every=3)
    fitted = vae.fit(experiment, host=HOST)
    assert all(record["kl"] == pytest.approx(math.log(5), rel=1e-6) for record in fitted.records)
    assert all(record["elbo"] == pytest.approx(record["log_likelihood"] - record["kl"], rel=1e-5) for record in fitted.records)
    found = report(fitted.trained, X, jax.random.key(0), samples=3)
    assert found["kl"] == pytest.approx(math.log(5), rel=1e-6)
    state, decoder = fitted.state.model_state, np.asarray(fitted.params["generative"]["decoder"], np.float64)
    means = np.asarray(state["total"] / state["count"][:, None], np.float64) @ decoder.T
    by_code = norm(means[None], 1.0).logpdf(X[:, None]).sum(axis=-1)
    evidence = logsumexp(by_code, axis=1) - math.log(5)
    assert found["elbo"] <= evidence.mean()
    assert -found["nll"] <= evidence.mean() + 1e-4
    assert found["elbo"] > by_code.mean(axis=1).mean() - math.log(5), "the nearest code is better than a random one"
    assert (found["active_units"], found["latent_dimensions"]) == (None, 0)


# Units


def shifted_prior() -> Model:
    """q(z | x) = N(x, 1) on the first numbers of x, under a prior that has learned to stand where the posterior does."""

    def infer(params, state, x, context, settings):
        def draw(key, values=()):
            q = Normal(mean=x[:2], log_std=jnp.zeros(2))
            p = Normal(mean=x[:2] * jnp.array([1.0, 0.0]), log_std=jnp.zeros(2))
            latent = latent_group(q, p, key)
            return Trace(likelihood=Normal(mean=jnp.zeros(4), log_std=jnp.zeros(4)), latents=(latent,))

        return draw

    return toys.linear_gaussian()._replace(infer=infer)


def test_units_are_counted_by_variance_and_by_kl():
    model = shifted_prior()
    trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=Data((4,), "real"))
    found = report(trained, X, jax.random.key(1), samples=2)
    assert (found["active_units"], found["active_units_by_kl"], found["latent_dimensions"]) == (2, 1, 2)


@pytest.mark.slow
def test_a_label_is_no_unit():
    model = toys.labelled()
    bits = (X > 0).astype(np.float32)
    trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=Data((4,), "binary"))
    assert report(trained, bits, jax.random.key(1), samples=2)["latent_dimensions"] == 2
    experiment = vae.Experiment(vae.data.feed(bits, spec=Data((4,), "binary")), toys.labelled(), 2, vae.elbo(), settings=LEVELS)
    score = vae.objectives.importance_weighted(2, vae.objectives.score_function)
    records = vae.fit(experiment._replace(objective=score, batch_size=8), host=HOST).records
    names = set().union(*records)
    assert not {"active_units/0", "active_units_by_kl/0"} & names
    assert isinstance(group(Categorical(jnp.zeros(3)), Categorical(jnp.zeros(3))).posterior, Categorical)


def test_behind_a_mask_and_other_units_a_likelihood_has_its_own_name():
    inner = Normal(jnp.zeros(2), jnp.zeros(2))
    likelihood = Masked(Affine(inner, jnp.zeros(2), jnp.ones(2)), jnp.ones(2, bool))
    assert (
        "the likelihood Normal is of real numbers"
        in claim_of(trace_with(group(), likelihood=likelihood), analytic, "count").why
    )


# Columns


def test_a_model_of_a_table_is_not_scored_on_another_one():
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=60), "k": rng.choice(["x", "y"], 60)}
    others = {
        "kinds": ({"a": table["a"], "k": rng.normal(size=60)}, "where the model was built for the column 'k' .tokens of x, y."),
        "categories": (
            {"a": table["a"], "k": rng.choice(["x", "z"], 60)},
            "have the column 'k' .tokens of x, z. where",
        ),
        "order": ({"k": table["k"], "a": table["a"]}, "the data have the column 'k' .* built for the column 'a' .real."),
    }
    splits = vae.data.table_splits(table)
    model = vae.models.mlp(splits.train.spec, latent_dim=2, hidden=[4])
    trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=splits.train.spec)
    for other, said in others.values():
        with pytest.raises(ValueError, match=said):
            vae.reports.evaluation.evaluate(trained, vae.data.table_splits(other), samples=2)
