"""Annealed importance sampling on linear-Gaussian models, whose evidence and posterior are exact."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import expit
from scipy.stats import norm

from vae.distributions import AtSample, UniformSphere, standard_normal
from vae.evaluation import annealing, annealing_chains, annealing_paths
from vae.evaluation.annealing import Annealing, annealed_evidence, simulate
from vae.evaluation.annealing_paths import from_posterior, from_prior
from vae.evaluation.effective_chains import FEWEST_EFFECTIVE, with_stated_error
from vae.testing import linear_gaussian, linear_gaussian_data, linear_gaussian_evidence
from vae.trained import Trained
from vae.types import Latent

EXAMPLES, KEY = 24, jax.random.key(0)
MODEL = toys.linear_gaussian()
PARAMS, _ = MODEL.init(jax.random.key(0))
EXACT = Trained(MODEL, PARAMS)


def off(params, factor=0.8):
    """Every parameter of the posterior too small: wrong means and, where it is learned, a wrong scale."""
    return params | {"posterior": jax.tree.map(lambda leaf: factor * leaf, params["posterior"])}


def compiled_quickly(function, *arguments, **structure):
    """`jit` with XLA's optimiser off: these programs take seconds to optimise and milliseconds to run."""
    lowered = function.lower(*arguments, **structure)
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 0})


def standard_errors(differences):
    """The mean in units of its standard error over examples."""
    values = np.asarray(differences, np.float64)
    return values.mean() / (values.std(ddof=1) / np.sqrt(len(values)))


# Bounds from both sides


def one_group(start):
    return Trained(MODEL, off(PARAMS)), toys.linear_gaussian_evidence, Annealing(100, 20, 4, start)


def two_groups(bottom_up, start):
    model = toys.two_groups(bottom_up)
    params = off(model.init(jax.random.key(0))[0])
    return Trained(model, params), lambda x: toys.two_group_evidence(x[:, 0]), Annealing(60, 20, 4, start)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((one_group, from_prior), id="one-group"),
        pytest.param((two_groups, False, from_prior), id="top-down"),
        pytest.param((two_groups, True, from_posterior), id="bottom-up"),
    ],
)
def bounds(request):
    case, *arguments = request.param
    trained, evidence, settings = case(*arguments)
    values, x = simulate(trained, jax.random.key(1), EXAMPLES)
    arguments = trained, values, x, jax.random.key(2)
    structure = {"context": (), "annealing": settings, "batch_size": None}
    found = compiled_quickly(annealing._bidirectional_bounds, *arguments, **structure)(*arguments, context=())
    return found, evidence(np.asarray(x, np.float64))


@pytest.mark.slow_but("bottom-up")
def test_annealing_agrees_with_the_exact_evidence(bounds):
    found, exact = bounds
    assert abs(standard_errors(found.lower - exact)) < 3
    stated = np.isfinite(np.asarray(found.lower_error))
    assert stated.mean() > 0.5
    standardised = ((np.asarray(found.lower) - exact) / np.asarray(found.lower_error))[stated]
    assert 0.6 < np.sqrt(np.mean(standardised**2)) < 1.8, "the claimed errors are the true ones"
    assert np.abs(np.asarray(found.lower) - exact).max() < 1.0


def test_both_directions_bracket_the_exact_evidence(bounds):
    found, exact = bounds
    assert standard_errors(found.lower - exact) < 3
    assert standard_errors(found.upper - exact) > -3
    assert np.mean(found.upper - found.lower) < 0.3, "and they are close"
    upper_error = np.asarray(found.upper_error)
    assert np.all(upper_error[np.asarray(found.effective_chains) >= FEWEST_EFFECTIVE] > 0)


def test_step_sizes_are_adapted_to_the_acceptance(bounds):
    np.testing.assert_allclose(np.mean(bounds[0].acceptance), annealing_chains.TARGET_ACCEPTANCE, atol=0.05)


# The error that is stated


WIDE = 1.5 * np.linalg.qr(np.random.default_rng(0).normal(size=(16, 8)))[0]
"""Loadings of eight latents, whose posterior is far from their prior."""


@pytest.mark.parametrize(("temperatures", "known"), [(20, 0.1), pytest.param(200, 0.6, marks=pytest.mark.slow)])
def test_an_error_is_stated_where_it_covers_the_truth(temperatures, known):
    """Eight latents, 32 chains. With few temperatures the delta method's errors would cover 7 in 10 truths or fewer."""
    model = linear_gaussian(WIDE)
    x = linear_gaussian_data(jax.random.key(6), 80, WIDE)
    arguments = Trained(model, model.init(KEY)[0]), x, jax.random.key(7)
    structure = {"context": (), "annealing": Annealing(temperatures, 32, 3), "batch_size": None}
    found = annealing._annealed_evidence(*arguments, **structure)
    error = np.asarray(found.monte_carlo_error)
    off_by = np.abs(np.asarray(found.log_evidence) - linear_gaussian_evidence(np.asarray(x), WIDE))
    stated = np.isfinite(error)
    np.testing.assert_array_equal(stated, np.asarray(found.effective_chains) >= FEWEST_EFFECTIVE)
    if known < 0.5:
        assert stated.mean() < known
        assert np.sqrt(np.mean(off_by**2)) > 0.5
    else:
        assert stated.mean() > known
        assert np.mean(off_by[stated] < 1.96 * error[stated]) > 0.8


def test_the_effective_chains_are_those_of_log_normal_weights():
    """C exp(-s^2) whatever the mean, also where the lower half is spread wide; no chain more than there are."""
    upper = norm.ppf((np.arange(1001) + 0.5) / 1001) * 0.8
    lower = np.where(upper < 0, 5 * upper, upper)
    for log_weights in (upper + 300.0, lower):
        effective = with_stated_error(jnp.asarray(log_weights, jnp.float32))[1]
        assert float(effective) == pytest.approx(1001 * np.exp(-0.64), rel=0.01)
    found, effective = with_stated_error(jnp.full(9, 2.0))
    assert effective == 9.0
    assert np.isnan(found.monte_carlo_error)
    assert with_stated_error(jnp.full(10, 2.0))[0].monte_carlo_error == 0.0


@pytest.mark.parametrize(
    "log_weights",
    [jnp.zeros(1000).at[0].set(20.0), jnp.full(16, -jnp.inf).at[0].set(0.0), jnp.full(16, -jnp.inf)],
)
def test_one_chain_that_holds_everything_states_no_error(log_weights):
    found, effective = with_stated_error(log_weights)
    assert effective < FEWEST_EFFECTIVE
    assert jnp.isnan(found.monte_carlo_error)


def test_few_effective_chains_are_said_once():
    settings = Annealing(2, 3, 1)
    with pytest.warns(RuntimeWarning, match=r"2 of 2 examples have fewer than 10 effective chains of 3") as caught:
        found = annealed_evidence(EXACT, jnp.zeros((2, 4)), KEY, annealing=settings)
    assert len(caught) == 1
    assert np.all(np.isnan(found.monte_carlo_error))


# Few temperatures, where the bounds are loose and the weights still unbiased


@pytest.fixture(scope="module")
def many_chains():
    """Log weights of chains in both directions at one x, with two temperatures between the ends and step sizes that vary."""
    x = jnp.array([0.9, -0.4, 1.1, 0.2])
    path = from_prior(EXACT, x, ())
    mean, std = PARAMS["posterior"]["weights"] @ x, jnp.exp(PARAMS["posterior"]["log_std"])
    run = {"betas": jnp.array([0.0, 0.2, 0.5, 1.0]), "step_sizes": jnp.array([0.7, 0.5, 0.4]), "leapfrog_steps": 2}

    def both(key):
        forward_key, sample_key, reverse_key = jax.random.split(key, 3)
        exact = (mean + std * jax.random.normal(sample_key, (2,)),)
        forward = annealing_chains.forward_chain(path, forward_key, **run)
        return forward, annealing_chains.reverse_chain(path, exact, reverse_key, **run)

    keys = jax.random.split(jax.random.key(3), 20_000)
    (forward, _), (reverse, acceptance) = compiled_quickly(jax.jit(jax.vmap(both)), keys)(keys)
    assert np.mean(acceptance) < 0.98, "some proposals are refused, so that the test sees them"
    exact = toys.linear_gaussian_evidence(np.asarray(x))
    return np.asarray(forward, np.float64) - exact, np.asarray(reverse, np.float64) - exact


def test_weights_are_unbiased_for_the_evidence(many_chains):
    ratio = np.exp(many_chains[0])
    assert ratio.std() > 0.3, "no trifle"
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(ratio.size))
    assert many_chains[0].mean() < -0.05, "a single chain is a loose lower bound"


def test_reversed_weights_are_unbiased_for_its_inverse(many_chains):
    ratio = np.exp(-many_chains[1])
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(ratio.size))
    assert many_chains[1].mean() > 0.05, "a single chain is a loose upper bound"


# From the posterior


@pytest.fixture(scope="module")
def from_the_posterior():
    x = simulate(EXACT, jax.random.key(4), EXAMPLES)[1]
    exact = toys.linear_gaussian_evidence(np.asarray(x, np.float64))

    arguments = x, jax.random.key(5)
    settings = Annealing(30, 12, 3, from_posterior)
    structure = {"context": (), "annealing": settings, "batch_size": None}
    annealed = compiled_quickly(annealing._annealed_evidence, EXACT, *arguments, **structure)
    return lambda trained: annealed(trained, *arguments, context=()), exact


def test_an_exact_posterior_leaves_nothing_to_anneal(from_the_posterior):
    annealed, exact = from_the_posterior
    found = annealed(EXACT)
    np.testing.assert_allclose(found.log_evidence, exact, atol=5e-5)
    np.testing.assert_allclose(found.effective_sample_size, 12.0, rtol=1e-4)
    assert np.all(np.asarray(found.monte_carlo_error) < 1e-3)


def test_annealing_makes_up_for_a_wrong_posterior(from_the_posterior):
    annealed, exact = from_the_posterior
    found = annealed(Trained(MODEL, off(PARAMS)))
    assert abs(standard_errors(found.log_evidence - exact)) < 3
    assert np.all((np.asarray(found.effective_sample_size) > 1) & (np.asarray(found.effective_sample_size) < 12))


def test_memory_does_not_grow_with_the_number_of_temperatures():
    """No array anywhere in the program has an entry for every temperature and chain; step sizes are one for each example."""
    temperatures, chains, examples = 997, 64, 8
    arguments = EXACT, jnp.zeros((examples, 4)), jax.random.key(0)
    structure = {"annealing": Annealing(temperatures, chains, 1), "batch_size": None}
    traced = annealing._annealed_evidence.trace(*arguments, context=(), **structure)
    shapes = set(shapes_within(traced.jaxpr.jaxpr))
    long = {shape for shape in shapes if max(shape, default=0) >= temperatures}
    assert (examples, chains, 2) in shapes, "positions: the programs inside were looked at"
    assert (temperatures, examples) in long
    assert max(np.prod(shape) for shape in long) <= examples * (temperatures + annealing_chains.WARM_UP + 1)


def shapes_within(jaxpr):
    """The shapes of all values of a program and of the programs inside it."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.shape for variable in equation.outvars)
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                yield from shapes_within(getattr(inner, "jaxpr", inner))


# The parts


def test_temperatures_are_a_sigmoid_from_0_to_1():
    betas = np.asarray(annealing_paths.sigmoid_temperatures(50), np.float64)
    levels = expit(4 * (2 * np.arange(51) / 50 - 1))
    np.testing.assert_allclose(betas, (levels - levels[0]) / (levels[-1] - levels[0]), atol=1e-6)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert np.all(np.diff(betas) > 0)


def test_simulated_pairs_have_the_moments_of_the_model():
    values, x = (np.asarray(part, np.float64) for part in jax.tree.leaves(simulate(EXACT, jax.random.key(6), 40_000)))
    np.testing.assert_allclose(x.T @ values / len(x), toys.LOADINGS, atol=0.04)
    np.testing.assert_allclose(x.T @ x / len(x), toys.LOADINGS @ toys.LOADINGS.T + toys.NOISE**2 * np.eye(4), atol=0.06)


@pytest.mark.parametrize("start", [from_prior, from_posterior])
def test_a_path_leads_from_its_start_to_the_joint_density(start):
    x, values = jnp.array([[0.4]]), (jnp.array([0.3]), jnp.array([-0.2]))
    model = toys.two_groups(bottom_up=True)
    path = start(Trained(model, model.init(jax.random.key(0))[0]), x[0], ())
    joint = -0.5 * (0.3**2 + (-0.2 - toys.A * 0.3) ** 2 / toys.T**2 + (0.4 + 0.2) ** 2 / toys.S**2)
    joint -= np.log(toys.T) + np.log(toys.S) + 1.5 * np.log(2 * np.pi)
    log_start, log_ratio = path.densities(values)
    assert float(log_start + log_ratio) == pytest.approx(joint, rel=1e-5)
    half = annealing_paths.tempered(path, jnp.asarray(0.5))(values)
    assert float(half) == pytest.approx(0.5 * (float(log_start) + joint), rel=1e-5)


# Refusals


def test_discrete_latents_are_refused():
    model = toys.labelled()
    params, state = model.init(jax.random.key(0))
    with pytest.raises(TypeError, match="the latent variables have a Categorical, whose values Hamiltonian Monte Carlo cannot"):
        annealed_evidence(Trained(model, params, state), jnp.zeros((2, 4)), jax.random.key(0))


def test_a_model_without_a_density_of_its_latents_is_refused():
    model = toys.vector_quantised()
    params, state = model.init(jax.random.key(0))
    with pytest.raises(TypeError, match="the model has no latent group with a density"):
        annealed_evidence(Trained(model, params, state), jnp.zeros((2, 4)), jax.random.key(0))


@pytest.mark.parametrize("wrap", [lambda surface: surface, AtSample])
def test_a_surface_is_refused_wherever_it_is(wrap):
    latent = Latent(posterior=standard_normal(3), prior=wrap(UniformSphere(3)), value=jnp.zeros(3), log_q=jnp.zeros(()))
    with pytest.raises(TypeError, match="have a UniformSphere"):
        annealing_paths._require_euclidean((latent,))


def test_nothing_to_run_is_refused():
    with pytest.raises(ValueError, match="got 0 temperatures, 16 chains and 10 leapfrog steps; wanted at least 1 of each"):
        annealed_evidence(EXACT, jnp.zeros((2, 4)), jax.random.key(0), annealing=Annealing(temperatures=0))


# A context


def shifted(likelihood, context):
    return dataclasses.replace(likelihood, mean=likelihood.mean + context)


def infer_shifted(params, state, x, context, settings):
    """Of the toy model on data moved by their context."""
    draw = MODEL.infer(params, state, x - context, (), settings)

    def moved(key, values=()):
        trace = draw(key, values)
        return trace._replace(likelihood=shifted(trace.likelihood, context))

    return moved


CONDITIONAL = MODEL._replace(
    infer=infer_shifted,
    decode=lambda params, state, values, context=(): shifted(MODEL.decode(params, state, values, ()), context),
)


@pytest.mark.slow
def test_data_moved_by_their_context_have_the_same_evidence():
    context = jnp.round(4 * jnp.asarray(np.random.default_rng(3).normal(size=(5, 4)), jnp.float32)) / 4
    shifting, key = Trained(CONDITIONAL, off(PARAMS)), jax.random.key(4)
    unmoved = Trained(MODEL, off(PARAMS))
    plain, moved = simulate(unmoved, key, 5), simulate(shifting, key, context=context)
    np.testing.assert_array_equal(moved[0][0], plain[0][0])
    np.testing.assert_allclose(moved[1], plain[1] + context, atol=1e-6)
    values, x = plain[0], jnp.round(1024 * plain[1]) / 1024  # so that nothing is rounded when the context comes and goes
    plain, moved = (values, x), (values, x + context)
    settings = Annealing(20, 8, 3, from_posterior)
    structure, bidirectional = {"annealing": settings, "batch_size": None}, annealing._bidirectional_bounds
    bounds = compiled_quickly(bidirectional, unmoved, *plain, key, context=(), **structure)
    both = compiled_quickly(bidirectional, shifting, *moved, key, context=context, **structure)
    wanted, found = bounds(unmoved, *plain, key, context=()), both(shifting, *moved, key, context=context)
    for name in ("lower", "upper"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-3)
