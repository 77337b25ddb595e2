"""The report of a model: each number against NumPy, and the names that depend on the space of the data."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vae import likelihoods, models, networks, posteriors, priors
from vae.distributions import Normal, is_density
from vae.evaluation import elbo_terms, importance_sampled_evidence
from vae.evaluation.annealing import Annealing, annealed_evidence
from vae.evaluation.annealing_paths import from_posterior
from vae.evaluation.arrays import standard_error
from vae.evaluation.evidence import Evidence
from vae.evaluation.report import OF_THE_BOUND, bits_per_dim, compact, entries_scored, evidence_summary, report
from vae.objectives import analytic, no_rate
from vae.reports.evaluation import bound, rows
from vae.spaces import DISCRETE
from vae.spec import Data
from vae.trained import Trained

RNG = np.random.default_rng(0)
EVIDENCE = Evidence(
    log_evidence=jnp.asarray([-10.0, -12.0, -11.0, -15.0]),
    monte_carlo_error=jnp.asarray([0.1, 0.2, 0.3, 0.4]),
    effective_sample_size=jnp.asarray([2.0, 9.9, 10.0, 50.0]),
)


def test_the_two_errors_of_the_bound_are_kept_apart():
    summary = evidence_summary(EVIDENCE, 100, in_space=True)
    nll = np.array([10.0, 12.0, 11.0, 15.0])
    assert summary["nll"] == pytest.approx(nll.mean())
    assert summary["cross_entropy"] is None
    assert summary["nll_se_images"] == pytest.approx(nll.std(ddof=1) / 2)
    assert summary["nll_se_mc"] == pytest.approx(math.sqrt(0.01 + 0.04 + 0.09 + 0.16) / 4)
    assert summary["effective_sample_size"] == pytest.approx(71.9 / 4)
    assert summary["share_effective_sample_size_under_10"] == 0.5
    assert summary["nll_samples"] == 100


def test_outside_the_likelihoods_space_there_is_only_a_cross_entropy():
    summary = evidence_summary(EVIDENCE, 100, in_space=False)
    assert summary["nll"] is None
    assert summary["cross_entropy"] == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("space", "in_space", "meaning"),
    [
        ("binary", True, True),
        ("uint8", True, True),
        ("real", True, False),  # a density has no bits
        ("unit_interval", False, False),  # gray pixels under a Bernoulli
        ("binary", False, False),
    ],
)
def test_bits_per_dimension_only_where_they_mean_something(space, in_space, meaning):
    found = bits_per_dim(EVIDENCE, 6.0, meaningful=in_space and space in DISCRETE)["bits_per_dim"]
    assert found == (pytest.approx(12.0 / (6 * math.log(2))) if meaning else None)


def test_missing_entries_are_no_dimensions():
    data = Data(shape=(2, 3), space="tokens")
    mask = np.array([[[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 0, 0]]], bool)
    assert entries_scored(data, ()) == 6.0
    assert entries_scored(data, {"observed": mask}) == 3.0
    assert entries_scored(data, {"observed": mask[:, :, 0]}) == 4.5, "a mask of the first axes"


def images(space):
    x = RNG.uniform(size=(30, 3, 2, 1)).astype(np.float32)
    return jnp.asarray(x if space in ("real", "unit_interval") else np.round(x))


@pytest.mark.parametrize(
    ("space", "likelihood", "named"),
    [("binary", "bernoulli", "nll"), ("unit_interval", "bernoulli", "cross_entropy")],
)
def test_a_report_of_images(space, likelihood, named):
    data = Data(shape=(3, 2, 1), space=space)
    model = models.mlp(data, latent_dim=3, hidden=(4,), likelihood=likelihood)
    params, state = jax.jit(model.init)(jax.random.key(0))
    trained, x = Trained(model, params, state, spec=data), images(space)
    found = report(trained, x, jax.random.key(1), samples=20)
    elbo_key, evidence_key, _ = jax.random.split(jax.random.key(1), 3)
    terms = elbo_terms(trained, x, elbo_key)
    bound = importance_sampled_evidence(trained, x, evidence_key, samples=20).log_evidence
    kl = np.asarray(terms.rates[0], np.float64)
    assert found["kl_per_dimension"] == [pytest.approx(kl.mean(axis=0).tolist())]
    assert found["kl"] == pytest.approx(kl.sum(axis=1).mean(), rel=1e-5)
    assert found["log_likelihood"] == pytest.approx(float(np.mean(terms.log_likelihood)), rel=1e-5)
    total = "elbo" if space == "binary" else "score"
    assert found[total] == pytest.approx(found["log_likelihood"] - found["kl"], rel=1e-5)
    assert {"elbo", "score"} - {total} == {name for name in ("elbo", "score") if found[name] is None}
    assert found[named] == pytest.approx(-float(np.mean(bound)), rel=1e-5)
    assert {"nll", "cross_entropy"} - {named} == {name for name in ("nll", "cross_entropy") if found[name] is None}
    assert (found["bits_per_dim"] is not None) == (space == "binary")
    assert (found["examples"], found["latent_dimensions"], found["nll_samples"]) == (30, 3, 20)
    assert 0 <= found["active_units"] <= 3
    assert "kl_per_dimension" not in compact(found)


def test_a_likelihood_that_is_no_density_has_no_nll():
    """The sigma-VAE sets sigma by the image it scores: nothing is called an NLL, a cross-entropy or bits per dimension."""
    data = Data(shape=(3, 2, 1), space="real")
    model = models.mlp(data, latent_dim=2, hidden=(4,), likelihood="normal_optimal_std")
    params, state = jax.jit(model.init)(jax.random.key(0))
    found = report(Trained(model, params, state, spec=data), images("real")[:4], jax.random.key(1), samples=2)
    assert (found["nll"], found["cross_entropy"], found["bits_per_dim"]) == (None, None, None)
    assert "OptimalSigmaNormal is no density" in found["nll_note"]
    assert bound(found) == ("no NLL", found["nll_note"])
    assert set(OF_THE_BOUND) <= set(found), "none of the numbers of a bound is missing"
    shown = rows(found | {"images_per_second": None})
    assert ("no NLL", found["nll_note"]) in shown
    assert not any("error" in name for name, _ in shown)
    bytes_of_it = likelihoods.dequantised(likelihoods.normal_optimal_std((2,))).build(jnp.zeros(2))
    assert not is_density(bytes_of_it)
    assert is_density(Normal(jnp.zeros(2), jnp.zeros(2)))


@pytest.mark.parametrize(
    "estimate",
    [
        partial(importance_sampled_evidence, samples=2),
        annealed_evidence,
        partial(annealed_evidence, annealing=Annealing(start=from_posterior)),
    ],
)
def test_a_likelihood_that_is_no_density_has_no_evidence(estimate):
    model = models.mlp(Data(shape=(3, 2, 1), space="real"), latent_dim=2, hidden=(4,), likelihood="normal_optimal_std")
    params, state = jax.jit(model.init)(jax.random.key(0))
    with pytest.raises(TypeError, match="no evidence to estimate, since the likelihood OptimalSigmaNormal is no density"):
        estimate(Trained(model, params, state), images("real")[:4], jax.random.key(1))


def test_a_report_needs_to_know_what_the_data_are():
    model = toys.linear_gaussian()
    with pytest.raises(ValueError, match="the model has no spec, which says what its data are; wanted one: Trained"):
        report(Trained(model, model.init(jax.random.key(0))[0]), jnp.zeros((3, 4)), jax.random.key(1), samples=2)


def test_a_model_without_latent_groups_has_no_bound():
    """Of a quantised code there is a likelihood and nothing that its cost could be."""
    model = toys.vector_quantised()
    trained = Trained(model, *model.init(jax.random.key(0)), spec=Data(shape=(4,), space="real"))
    found = report(trained, jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32), jax.random.key(1), samples=3)
    assert "no latent group, so nothing says what its code costs" in found["nll_note"]
    assert math.isfinite(found["log_likelihood"])
    for name in (*OF_THE_BOUND, "elbo", "elbo_se_images", "kl", "kl_per_dimension", "active_units"):
        assert found[name] is None, name
    assert found["latent_dimensions"] == 0
    shown = dict(rows(found | {"images_per_second": None}))
    assert shown[f"score, no ELBO: {found['elbo_note']}"] == f"{found['score']:.2f} +- {found['score_se_images']:.2f}"
    assert ("ELBO" not in shown, shown["no NLL"]) == (True, found["nll_note"])


@pytest.mark.parametrize(("rates", "charged"), [(analytic, False), (no_rate, True)])
def test_a_group_without_a_density_has_no_bound(rates, charged):
    data, posterior = Data(shape=(4,), space="real"), posteriors.deterministic(2)
    model = models.variational_autoencoder(
        encoder=networks.mlp((6,), posterior.outputs),
        decoder=networks.mlp((6,), (4,)),
        posterior=posterior,
        prior=priors.normal(2),
        likelihood=likelihoods.normal((4,)),
        data=data,
    )
    trained = Trained(model, *jax.jit(model.init)(jax.random.key(0)), spec=data)
    x = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
    found = report(trained, x, jax.random.key(1), samples=3, rates=rates)
    assert found["nll_note"] == "the posterior Deterministic has no density"
    assert (found["elbo"], found["nll"]) == (None, None)
    assert (found["rate"] is not None) == charged
    assert (found["kl"], found["kl_per_dimension"]) == (None, None)
    assert found["latent_dimensions"] == 2


def test_standard_error_of_one_value_is_unknown():
    assert math.isnan(standard_error(np.array([1.0])))
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)
