"""The statistics that all comparisons report, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from conditional import CLASSES, SHAPE, conditional

from vae.evaluation import comparison, elbo_terms, importance_sampled_evidence
from vae.evaluation.comparison import Measured, measure
from vae.evaluation.examples import Examples
from vae.objectives import total_rate
from vae.trained import Trained

RNG = np.random.default_rng(0)


def measured(seeds=3, images=50):
    rows = [RNG.normal(100.0, 5.0, (seeds, images)) for _ in range(3)]
    return Measured(*rows, scores={"active_units": RNG.integers(0, 20, seeds).astype(float)})


def test_differences_are_taken_image_by_image_and_seed_by_seed():
    a = measured()
    b = a._replace(nll=a.nll + np.array([[0.5], [1.0], [1.5]]) + 0.1 * RNG.normal(size=a.nll.shape))
    found = comparison.paired_difference(b, a)["nll"]
    difference = b.nll - a.nll
    assert found["mean"] == pytest.approx(difference.mean())
    assert found["per_seed"] == pytest.approx(difference.mean(axis=1).tolist())
    assert found["sd_seeds"] == pytest.approx(np.std(difference.mean(axis=1), ddof=1))
    assert found["se_images"] == pytest.approx(np.std(difference.mean(axis=0), ddof=1) / np.sqrt(50))
    assert found["se_images"] < 0.1 * comparison.summary(a)["nll"]["se_images"], "pairing takes the images' spread out"


def test_the_elbo_is_minus_rate_and_distortion_and_scores_have_no_error_over_images():
    a = measured()
    found = comparison.summary(a)
    assert found["elbo"]["mean"] == pytest.approx(-(found["rate"]["mean"] + found["distortion"]["mean"]))
    assert found["active_units"]["per_seed"] == a.scores["active_units"].tolist()
    assert "se_images" not in found["active_units"]


def test_one_seed_has_no_spread():
    found = comparison.over_images(RNG.normal(size=(1, 9)))
    assert found["sd_seeds"] is None
    assert comparison.mean_with_errors(found).count("±") == 1


def test_a_table_is_markdown_with_columns_of_one_width():
    lines = comparison.markdown_table(["", "nll"], [["a", "1.00 ± 0.10"], ["longer", "2"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-", " "}
    assert [cell.strip() for cell in lines[2].split("|")] == ["", "a", "1.00 ± 0.10", ""]


def test_every_run_is_measured_on_the_same_noise():
    model = toys.linear_gaussian()
    params = model.init(jax.random.key(0))[0]
    off = params | {"posterior": jax.tree.map(lambda leaf: 0.9 * leaf, params["posterior"])}
    x = jnp.asarray(RNG.normal(size=(9, 4)), jnp.float32)
    same, again, other = (Trained(model, p) for p in (params, params, off))
    found = measure([same, again, other], Examples(x), samples=5)
    assert found.nll.shape == found.rate.shape == found.distortion.shape == (3, 9)
    np.testing.assert_array_equal(found.nll[0], found.nll[1])
    assert np.all(found.nll[2] != found.nll[0])
    terms_key, evidence_key, _ = jax.random.split(jax.random.key(comparison.NOISE_SEED), 3)
    terms = elbo_terms(other, x, terms_key)
    np.testing.assert_allclose(found.rate[2], total_rate(terms))
    np.testing.assert_allclose(found.distortion[2], -np.asarray(terms.log_likelihood))
    evidence = importance_sampled_evidence(other, x, evidence_key, samples=5)
    np.testing.assert_allclose(found.nll[2], -np.asarray(evidence.log_evidence))
    error = np.asarray(evidence.monte_carlo_error, np.float64)
    assert found.scores["nll_se_mc"][2] == pytest.approx(np.sqrt(np.sum(error**2)) / 9)
    assert found.scores["active_units"].tolist() == [2.0, 2.0, 2.0]


def test_a_conditional_model_is_measured_under_its_contexts():
    trained, labels = conditional(), jax.nn.one_hot(jnp.arange(4) % CLASSES, CLASSES)
    x = jnp.asarray(RNG.integers(0, 2, (4, *SHAPE)), jnp.float32)
    assert measure([trained], Examples(x, labels), samples=2).nll.shape == (1, 4)
    with pytest.raises(ValueError, match="the model is conditioned on a context"):
        measure([trained], Examples(x), samples=2)


def test_models_are_compared_with_the_first():
    models = {name: measured() for name in ("a", "b", "c")}
    pairs = comparison.pairs_with_first(models)
    assert pairs == [("b", "a"), ("c", "a")]
    numbers = comparison.compared(models, pairs)
    assert set(numbers["differences"]) == {"b minus a", "c minus a"}
    numbers["models"] = {name: of | {"nll_se_mc": of["nll"]} for name, of in numbers["models"].items()}
    assert comparison.table_of_models(numbers).count("\n") == 7
    assert len(comparison.figure_of_models(numbers, "Models").axes) == 3
