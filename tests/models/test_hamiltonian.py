"""Hamiltonian posteriors: volume, energy, a bound that is unbiased for the exact evidence, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from numpy.testing import assert_allclose

import vae
from vae.dynamics import energy, phase_point
from vae.evaluation.evidence import elbo_terms
from vae.models.hamiltonian import Hamiltonian, hamiltonian_posterior
from vae.objectives import doubly_reparameterised, importance_weighted, log_ratio
from vae.spec import Data
from vae.testing.linear_gaussian_model import linear_gaussian, linear_gaussian_data, linear_gaussian_evidence

KEY = jax.random.key(0)
DATA = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
EXPERIMENT = vae.Experiment(DATA, toys.linear_gaussian(), steps=4, optimiser=optax.adam(0.01), batch_size=10)
HOST = vae.Host(log_every=2, progress=False)
STEP = jnp.array([0.3, 0.2, 0.4])


def quartic(z):
    return -jnp.sum(z**4) / 4 - 0.3 * z[0] * z[1] ** 2


def posterior(steps=4, heat=1.7, step_size=STEP):
    return Hamiltonian(vae.standard_normal(3), quartic, step_size, heat, steps)


Z, NOISE = jnp.array([0.4, -1.1, 0.7]), jnp.array([-0.2, 0.9, 1.3])


@pytest.mark.parametrize("heat", [1.0, 1.7])
def test_the_map_keeps_volume_also_where_the_momenta_are_cooled(heat):
    jacobian = jax.jacfwd(lambda both: jnp.concatenate(posterior(heat=heat).moved(both[:3], both[3:])))
    assert np.linalg.det(np.asarray(jacobian(jnp.concatenate([Z, NOISE])), float)) == pytest.approx(1.0, rel=1e-4)


def test_without_tempering_it_runs_back_with_the_momentum_turned_round():
    still = posterior(heat=1.0)
    end, momentum = still.moved(Z, NOISE)
    back, turned = still.moved(end, -momentum)
    assert_allclose(back, Z, atol=1e-5)
    assert_allclose(-turned, NOISE, atol=1e-5)
    assert np.max(np.abs(end - Z)) > 0.1


def test_energy_is_conserved_to_the_square_of_the_step_size():
    """Without tempering, over the same time: half the steps' size is a quarter of the error."""
    before = energy(phase_point(quartic, Z, NOISE))

    def error(halvings):
        moved = posterior(4 * 2**halvings, 1.0, 0.2 / 2**halvings).moved(Z, NOISE)
        return float(energy(phase_point(quartic, *moved)) - before)

    assert abs(error(0)) > 1e-3
    assert error(0) / error(1) == pytest.approx(4.0, rel=0.1)


def test_tempering_ends_cold():
    """Where nothing pulls, the momentum that arrives is the noise, whatever it was heated to."""
    free = Hamiltonian(vae.standard_normal(3), lambda z: 0.0 * jnp.sum(z), 0.1, 2.5, 4)
    end, momentum = free.moved(Z, NOISE)
    assert_allclose(momentum, NOISE, rtol=1e-5)
    heats = 2.5 - 1.5 * (np.arange(4) / 4) ** 2
    assert_allclose(end, Z + 0.1 * heats.sum() * NOISE, rtol=1e-5)


# On the linear-Gaussian model, from a posterior that is off

X = linear_gaussian_data(jax.random.key(3), 5)
EXACT = linear_gaussian_evidence(np.asarray(X))


def trained(steps):
    """A posterior with half the exact one's mean and 1.5 times its standard deviation, alone or moved."""
    model = linear_gaussian()
    params, _ = model.init(KEY)
    exact = params["posterior"]
    broad = {"weights": 0.5 * exact["weights"], "log_std": exact["log_std"] + jnp.log(1.5)}
    alone = model._replace(init=lambda key: (params | {"posterior": broad}, ()))
    moved = hamiltonian_posterior(alone, 2, steps, step_size=0.12, heat=1.05) if steps else alone
    return vae.Trained(moved, *moved.init(KEY))


@pytest.fixture(scope="module")
def weights():
    """By the number of steps, log w of 4,000 draws for each example."""

    def of(steps):
        run = trained(steps)
        keys = jax.random.split(jax.random.key(5), 4_000)
        terms = jax.jit(jax.vmap(lambda key: elbo_terms(run, X, key, rates=log_ratio)))(keys)
        return np.asarray(terms.log_likelihood - terms.rates[0], float)

    return {steps: of(steps) for steps in (0, 2, 5)}


@pytest.mark.parametrize("steps", [2, 5])
def test_the_weights_are_unbiased_for_the_exact_evidence(weights, steps):
    relative = np.exp(weights[steps] - EXACT)
    error = relative.std(axis=0) / np.sqrt(len(relative))
    assert np.all(error < 0.2)
    assert np.all(np.abs(relative.mean(axis=0) - 1.0) < 4 * error)


def test_the_bound_lies_below_the_evidence_and_rises_with_the_steps(weights):
    bounds = {steps: of.mean(axis=0) for steps, of in weights.items()}
    error = {steps: of.std(axis=0) / np.sqrt(len(of)) for steps, of in weights.items()}
    assert np.all(bounds[5] < EXACT + 4 * error[5])
    assert np.mean(bounds[5] - bounds[0]) > 4 * np.sqrt(2.0 / len(EXACT)) * np.mean(error[0])


# As a model


@pytest.fixture(scope="module")
def run():
    """A few steps of training."""
    model = hamiltonian_posterior(EXPERIMENT.model, 2, steps=1)
    objective = vae.elbo(log_ratio)
    return vae.fit(EXPERIMENT._replace(model=model, objective=objective), host=HOST), model


@pytest.mark.slow
def test_every_part_learns(run):
    fitted, model = run
    start, _ = model.init(jax.random.key(0))
    for part in ("base", "dynamics"):
        moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), start["posterior"][part], fitted.params["posterior"][part])
        assert all(jax.tree.leaves(moved)), part
    assert np.isfinite(fitted.records[-1]["elbo"])


@pytest.mark.slow
def test_jit_and_batch_change_nothing(run):
    fitted, _ = run

    def value(x, key):
        trace = fitted.trained.infer(x)(key)
        return trace.latents[0].value, trace.latents[0].log_q

    x, keys = jnp.asarray(DATA[:3]), jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(value))(x, keys)
    alone = [value(*one) for one in zip(x, keys, strict=True)]
    jax.tree.map(lambda a, *b: assert_allclose(a, jnp.stack(b), rtol=2e-5, atol=1e-6), together, *alone)


def test_the_gradient_is_that_of_finite_differences():
    """Through the gradients of log p(x, z), also in the loadings, which the draw follows."""
    run = trained(3)

    def loss(params):
        group = run.replace(params=params).infer(X[0])(KEY).latents[0]
        return log_ratio(group, KEY) + jnp.sum(group.value**2)

    params = run.params
    slope = jax.jit(jax.grad(loss))(params)
    for part, name in (("generative", "loadings"), ("posterior", "dynamics")):
        norm = float(optax.tree.norm(slope[part][name]))
        up, down = (
            params | {part: params[part] | {name: optax.tree.add_scale(params[part][name], way / norm, slope[part][name])}}
            for way in (2e-3, -2e-3)
        )
        found = (jax.jit(loss)(up) - jax.jit(loss)(down)) / 4e-3
        assert float(found) == pytest.approx(norm, rel=0.02)


def test_what_has_no_meaning_is_refused(run):
    fitted, model = run
    reweighted = EXPERIMENT._replace(model=model, objective=importance_weighted(2, doubly_reparameterised))
    with pytest.raises(TypeError, match="only at its own draw, with the momentum"):
        vae.fit(reweighted, host=HOST)
    with pytest.raises(TypeError, match=r"KL\(Hamiltonian \|\| Normal\) has no closed form.*rates=log_ratio"):
        vae.fit(EXPERIMENT._replace(model=model), host=HOST)
    outside = fitted.trained.infer(jnp.asarray(DATA[0]))(KEY).latents[0].posterior
    with pytest.raises(TypeError, match="outside of its model"):
        outside.sample(KEY)
    sphere = vae.models.hamiltonian_mlp(Data((4,), "real"), 3, hidden=(4,), latents="power_spherical")
    with pytest.raises(TypeError, match="PowerSpherical with the prior UniformSphere; wanted densities over all real vectors"):
        jax.eval_shape(lambda key: vae.Trained(sphere, *sphere.init(key)).infer(jnp.zeros(4))(key), KEY)
    for wrong in ({"steps": 0}, {"step_size": 0.6}, {"heat": 1.0}):
        with pytest.raises(ValueError, match=r"wanted"):
            hamiltonian_posterior(EXPERIMENT.model, 2, **wrong)
