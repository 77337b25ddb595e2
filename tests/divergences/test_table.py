"""What holds for every row of the KL table alike: second derivatives, products at full precision, shapes that disagree."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import KL_PAIRS
from jax.flatten_util import ravel_pytree
from unchecked import unchecked

from vae import divergences, likelihoods
from vae.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Deterministic,
    Gamma,
    Kumaraswamy,
    Laplace,
    LowRankNormal,
    MultivariateNormal,
    Normal,
    PowerSpherical,
    RelaxedBernoulli,
    UniformSphere,
    VonMises,
    VonMisesFisher,
)
from vae.divergences import KL_TABLE, closed_forms, kl_divergence, monte_carlo_jensen_shannon, monte_carlo_kl, renyi_divergence
from vae.types import Family

TWO, THREE = jnp.array([0.6, 2.0]), jnp.array([0.3, 1.2])
AXIS, ONE = jnp.array([0.0, 1.0, 0.0]), jnp.array(1.0)
FACTOR = jnp.array([[1.0, 0.0], [0.5, 0.7]])
FAMILIES = {  # whose rows have derivatives of their own, or a corner at equality; the categorical is in test_discrete.py
    "Normal": Normal(TWO, -THREE),
    "Laplace": Laplace(TWO, -THREE),
    "Gamma": Gamma(TWO, THREE),
    "Beta": Beta(TWO, THREE),
    "VonMises": VonMises(TWO, THREE),
}


@pytest.fixture(scope="module")
def hessians():
    """Of KL(q || p) at q = p in the parameters of p, in those of q, and the exact metric; from one compilation."""

    def both(distribution):
        start, rebuild = ravel_pytree(distribution)
        in_p = jax.hessian(lambda moved: kl_divergence(distribution, rebuild(moved)))(start)
        in_q = jax.hessian(lambda moved: kl_divergence(rebuild(moved), distribution))(start)
        return in_p, in_q

    return jax.jit(lambda families: {name: both(family) for name, family in families.items()})(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_second_derivatives_at_equality_agree(name, hessians):
    """Both are the Fisher information: a metric, the same whichever argument moves, with a positive diagonal."""
    in_p, in_q = hessians[name]
    np.testing.assert_allclose(in_p, in_q, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(in_p, in_p.T, rtol=2e-4, atol=2e-5)
    assert np.linalg.eigvalsh(np.asarray(in_p, np.float64)).min() > -1e-5


def test_the_fisher_information_of_gamma_and_laplace_is_that_of_the_books(hessians):
    from scipy.special import polygamma

    gamma, _ = hessians["Gamma"]
    np.testing.assert_allclose(np.diag(gamma), [*polygamma(1, TWO), *(TWO / THREE**2)], rtol=1e-5)
    laplace, _ = hessians["Laplace"]
    np.testing.assert_allclose(np.diag(laplace), [*np.exp(2 * np.asarray(THREE)), 1.0, 1.0], rtol=1e-5)


def products(jaxpr):
    """Every matrix product of a program, those in its subprograms too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


FULL, LOW, DIAGONAL = MultivariateNormal(TWO, FACTOR), LowRankNormal(TWO, FACTOR[:, :1], -THREE), Normal(TWO, -THREE)
SPHERE, POWER = VonMisesFisher(AXIS, ONE), PowerSpherical(AXIS, ONE)
PROGRAMS = {
    "directions": lambda key: kl_divergence(SPHERE, VonMisesFisher(-AXIS, 2 * ONE)) + kl_divergence(POWER, UniformSphere(3)),
    "draws of directions": lambda key: SPHERE.sample_and_log_prob(key)[1] + POWER.sample(key)[0],
    "full": lambda key: kl_divergence(FULL, DIAGONAL) + FULL.sample_and_log_prob(key)[1] + FULL.log_prob(TWO),
    "low rank": lambda key: kl_divergence(LOW, DIAGONAL) + kl_divergence(FULL, LOW) + LOW.sample_and_log_prob(key)[1],
    "renyi": lambda key: renyi_divergence(FULL, LOW, 0.5),
    "positive": lambda key: (
        kl_divergence(Kumaraswamy(TWO, THREE), Beta(TWO, THREE)) + kl_divergence(Gamma(TWO, TWO), Gamma(THREE, TWO))
    ),
    "categorical": lambda key: Categorical(TWO).mean,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_matrix_products_ask_for_full_precision(name):
    """An accelerator may round the factors of the others to ten bits, four digits short of what is promised here."""
    jaxpr = jax.make_jaxpr(PROGRAMS[name])(jax.random.key(0)).jaxpr
    rounded = [equation for equation in products(jaxpr) if equation.params["precision"] in (None, jax.lax.Precision.DEFAULT)]
    assert not rounded


def test_the_search_for_products_finds_one_in_a_subprogram():
    jaxpr = jax.make_jaxpr(jax.jit(lambda x: jax.vmap(lambda row: row @ x)(x)))(FACTOR).jaxpr
    assert len(list(products(jaxpr))) == 1


@pytest.fixture(scope="module")
def estimates():
    """Of every row: the closed form, the Monte Carlo estimate of 100,000 draws and its standard error; one compilation."""

    @jax.jit
    def both(pairs):
        key = jax.random.key(7)
        return {name: (kl_divergence(q, p), *monte_carlo_kl(q, p, key, 100_000)) for name, (q, p) in pairs.items()}

    return both(KL_PAIRS)


@pytest.mark.parametrize("name", KL_PAIRS)
def test_every_row_agrees_with_monte_carlo(name, estimates):
    closed, mean, error = estimates[name]
    assert abs(mean - closed) < 4.5 * error + 1e-6
    assert error > 0 or name.startswith("PointMass"), "only the draws of a point are all alike"
    assert error < 0.05 * closed, "a standard error this large would let anything pass"


def test_what_has_no_divergence_at_all_is_not_sent_to_monte_carlo():
    """A relaxed variable against a hard one, a point against a density: an average of log ratios would be no divergence."""
    soft, hard = RelaxedBernoulli(TWO, 0.5), Bernoulli(TWO)
    point, prior = Deterministic(TWO), Normal(TWO, TWO)
    for function in (
        kl_divergence,
        lambda q, p: monte_carlo_kl(q, p, jax.random.key(0), 10),
        lambda q, p: monte_carlo_jensen_shannon(q, p, jax.random.key(0), 10),
    ):
        with pytest.raises(TypeError, match=r"KL\(RelaxedBernoulli \|\| Bernoulli\) does not exist: .* are real and .* binary"):
            function(soft, hard)
        with pytest.raises(TypeError, match=r"KL\(Deterministic \|\| Normal\) does not exist: a point mass has no density"):
            function(point, prior)
    with pytest.raises(ValueError, match="samples = 0, wanted at least 1"):
        monte_carlo_kl(prior, prior, jax.random.key(0), 0)


def test_angles_of_another_shape_are_refused():
    one, two = VonMises(TWO[:1], TWO[:1]), VonMises(TWO, TWO)
    with unchecked(), pytest.raises(ValueError, match=r"KL got q \(2,\), p \(1,\)"):
        kl_divergence(two, one)


PAGE = (Path(__file__).parents[2] / "docs" / "divergences.md").read_text()


@pytest.mark.parametrize("pair", KL_TABLE, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_every_row_is_listed_with_a_formula_and_a_reference(pair):
    q, p = (kind.__name__ for kind in pair)
    entries = re.split(r"\n\n(?=KL\()", closed_forms())
    (entry,) = [text for text in entries if f"KL({q} || {p})" in text.split("\n\n")[0].splitlines()]
    assert re.search(r"\bln\b|e\^\(|categoricals they are", entry)
    assert re.search(r"\b[A-Z]\w+( et al\.| & [A-Z]\w+)? (19|20)\d\d", entry)


def test_every_table_of_the_page_is_rectangular():
    """A bar too many in the row of titles, and GitHub shows no table at all."""
    lines = PAGE.splitlines()
    widths = {}
    for number, line in enumerate(lines):
        if line.startswith("|"):
            start = number if not lines[number - 1].startswith("|") else start
            widths.setdefault(start, set()).add(len(re.split(r"(?<!\\)\|", line)))
    assert len(widths) >= 6
    assert all(len(width) == 1 for width in widths.values())


def test_the_page_has_every_divergence_and_every_likelihood():
    names = [name for name in vars(divergences) if callable(getattr(divergences, name)) and not name.startswith("_")]
    makers = [
        name
        for name, value in vars(likelihoods).items()
        if not name.startswith("_") and getattr(value, "__annotations__", {}).get("return") is Family
    ]
    assert len(makers) >= 15
    assert not [name for name in (*names, *makers) if name not in PAGE]
