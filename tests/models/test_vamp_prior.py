"""The VampPrior by name: pseudo-inputs are encoded once a step, and its encoder is a parameter of the prior."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vae
from vae.distributions import Mixture, Normal, SpikeAndSlab
from vae.divergences import monte_carlo_kl
from vae.evaluation.evidence import importance_sampled_evidence
from vae.models.choices import LATENTS
from vae.objectives import (
    ExampleView,
    doubly_reparameterised,
    elbo,
    gate_sparsity,
    importance_weighted,
    log_ratio,
    mixture_bound,
    reparameterised,
    sticking_the_landing,
)
from vae.spec import Data
from vae.training.state import initial_state
from vae.training.step import make_train_step
from vae.types import Batch, Carried, Latent, Trace

SHAPE, WIDTH, PSEUDO = (3, 2, 1), 7, 500
X = jnp.asarray(np.random.default_rng(0).integers(0, 2, (4, *SHAPE)), jnp.float32)
KEY = jax.random.key(0)


def model(latents="normal_vamp", space="binary"):
    return vae.models.mlp(Data(SHAPE, space), latent_dim=2, hidden=[WIDTH], latents=latents)


def dots(jaxpr, times=1):
    """(how often, shapes of the operands) of every matrix product in a program and in the programs inside of it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield times, tuple(variable.aval.shape for variable in equation.invars)
        inner = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                part = getattr(part, "jaxpr", part)
                if hasattr(part, "eqns"):
                    yield from dots(part, inner)


def first_layer_of_pseudo_inputs(program):
    """How often the encoder's first product, (K, pixels) times (pixels, width), is computed, and with which further axes."""
    pixels = math.prod(SHAPE)
    found = [
        (times, shapes)
        for times, shapes in dots(program)
        if shapes[1] == (pixels, WIDTH) and PSEUDO in shapes[0] and shapes[0][-1] == pixels
    ]
    assert all(shapes[0] == (PSEUDO, pixels) for _, shapes in found), found
    return sum(times for times, _ in found)


@pytest.mark.parametrize(("objective", "times"), [(elbo(log_ratio), 1), (importance_weighted(6), 1)], ids=["elbo", "iwae"])
def test_a_step_encodes_the_pseudo_inputs_once(objective, times):
    """Not for each of four examples or six samples."""
    made = model()
    optimiser = optax.sgd(1.0)
    state = jax.eval_shape(lambda: initial_state(made, objective, optimiser, KEY))
    batch = Batch(x=X, context=(), weight=jnp.ones(4))
    program = jax.make_jaxpr(make_train_step(made, objective, optimiser))(state, batch)
    assert first_layer_of_pseudo_inputs(program.jaxpr) == times


def test_an_evaluation_encodes_them_once_a_batch_of_examples():
    """Eight examples in batches of four, a hundred samples of each: twice."""
    made = model()
    trained = vae.Trained(made, *jax.eval_shape(made.init, KEY))
    x = jnp.concatenate([X, X])
    program = jax.make_jaxpr(lambda run: importance_sampled_evidence(run, x, KEY, samples=100, batch_size=4))(trained)
    assert first_layer_of_pseudo_inputs(program.jaxpr) == 2


@pytest.fixture(scope="module")
def gradients():
    """By estimator, the posterior's gradient of K = 3 weights for 400 keys, flattened; the model as it starts."""
    made = vae.models.mlp(Data(SHAPE, "binary"), latent_dim=2, hidden=[], latents="normal_vamp")
    params, state = made.init(KEY)
    few = jax.tree.map(lambda leaf: leaf[:3], params["generative"]["prior"])
    params["generative"]["prior"] = few
    batch = Batch(x=X[:2], context=(), weight=jnp.ones(2))

    def of(estimator, samples):
        objective = importance_weighted(samples, estimator, monitors=())

        @jax.jit
        @jax.vmap
        def one(key):
            def loss(own):
                return objective.loss(own, Carried(state, ()), key, batch, vae.Settings(), made)[0]

            return jax.flatten_util.ravel_pytree(jax.grad(loss)(params)["posterior"])[0]

        return np.asarray(one(jax.random.split(jax.random.key(1), 1_000)), float)

    return of


@pytest.mark.slow_but("doubly_reparameterised-3")
@pytest.mark.parametrize(("estimator", "samples"), [(doubly_reparameterised, 3), (sticking_the_landing, 1)])
def test_estimators_that_stop_the_posterior_stay_unbiased(gradients, estimator, samples):
    """The encoder of the prior is a parameter of the prior; stopped, its gradient would be missing."""
    plain, other = gradients(reparameterised, samples), gradients(estimator, samples)
    error = np.hypot(plain.std(axis=0), other.std(axis=0)) / np.sqrt(len(plain))
    assert np.all(np.abs(plain.mean(axis=0) - other.mean(axis=0)) < 4.5 * error + 1e-6)
    assert np.mean(np.abs(plain.mean(axis=0)) / (error + 1e-9)) > 4, "the comparison can see a difference"


@pytest.mark.parametrize(("space", "low", "high"), [("binary", 0.0, 1.0), ("count", 0.0, np.inf), ("real", -np.inf, np.inf)])
def test_pseudo_inputs_lie_where_the_data_do(space, low, high):
    seen = []

    def encode(x):
        seen.append(x)
        return Normal(mean=x[:2, 0, 0], log_std=jnp.zeros(2))

    prior = LATENTS["normal_vamp"].prior(2, Data(SHAPE, space))
    params = prior.init(KEY)
    wide = params | {"pseudo_inputs": 10.0 * (params["pseudo_inputs"] + 0.5)}
    means = prior.build(wide, (), encode).components.mean
    assert seen[0].shape == SHAPE
    assert np.all((means >= low) & (means <= high))
    assert np.max(means) > min(high, 5.0) - 0.01


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Data((4,), "tokens", tokens=3), "of the space tokens, whose values a gradient cannot move"),
        (Data((4,), "binary", context=jax.ShapeDtypeStruct((2,), jnp.float32)), "with a context or missing values"),
    ],
)
def test_data_without_pseudo_inputs_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        vae.models.mlp(data, latents="normal_vamp")


def test_the_default_rate_says_how_to_charge_a_learned_prior():
    for latents in ("normal_vamp", "normal_mixture", "normal_flow"):
        experiment = vae.Experiment(np.asarray(X), model(latents), steps=2, batch_size=2)
        with pytest.raises(TypeError, match=r"has no closed form here.*rates=log_ratio in an objective"):
            vae.fit(experiment, host=vae.Host(progress=False))


# The bound from the components


def group(q, logits, components):
    return Latent(posterior=q, prior=Mixture(logits, components), value=q.mean, log_q=None)


Q = Normal(mean=jnp.array([0.3, -0.5]), log_std=jnp.array([-0.4, 0.2]))
COMPONENTS = jax.vmap(Normal)(
    jnp.array([[0.0, 0.0], [2.0, -1.0], [-1.5, 1.0]]), jnp.array([[0.0, 0.1], [-0.2, 0.0], [0.3, 0.2]])
)
LOGITS = jnp.array([0.0, 1.0, -0.5])


@pytest.mark.slow
def test_the_bound_from_the_components_is_above_the_divergence_and_exact_for_equal_ones():
    exact, error = monte_carlo_kl(Q, Mixture(LOGITS, COMPONENTS), KEY, 20_000)
    assert mixture_bound(group(Q, LOGITS, COMPONENTS)) > exact - 4 * error
    alike = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), vae.standard_normal(2))
    assert mixture_bound(group(Q, LOGITS, alike)) == pytest.approx(
        float(vae.kl_divergence(Q, vae.standard_normal(2))), rel=1e-5
    )


def test_the_bound_is_the_smallest_over_how_the_posterior_is_shared_out():
    """min over pi of sum_k pi_k KL_k + KL(pi || w), here by a grid over the simplex of three."""
    divergences = np.asarray(jax.vmap(lambda component: vae.kl_divergence(Q, component))(COMPONENTS), float)
    weights = np.asarray(jax.nn.softmax(LOGITS), float)
    a, b = np.meshgrid(np.linspace(0.001, 0.998, 400), np.linspace(0.001, 0.998, 400))
    shares = np.stack([a, b, 1 - a - b], axis=-1)[a + b < 0.9995]
    costs = shares @ divergences + np.sum(shares * np.log(shares / weights), axis=1)
    assert float(mixture_bound(group(Q, LOGITS, COMPONENTS))) == pytest.approx(costs.min(), abs=1e-3)
    assert float(mixture_bound(group(Q, LOGITS, COMPONENTS))) <= costs.min() + 1e-5


def test_the_bound_passes_a_gradient_to_the_gates_of_a_spike_and_slab():
    slab = Normal(mean=jnp.ones(2), log_std=jnp.zeros(2))
    components = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), SpikeAndSlab(jnp.zeros(2), slab, jnp.array(0.5)))

    def cost(logits):
        return mixture_bound(group(SpikeAndSlab(logits, slab), jnp.zeros(2), components))

    assert np.all(np.asarray(jax.jit(jax.grad(cost))(jnp.array([2.0, 3.0]))) > 0.1)


def test_the_gates_of_pseudo_inputs_are_drawn_to_a_share():
    """The penalty of a batch is the KL between the mean gates and the share, summed over dimensions; padding takes no part."""
    logits = np.array([[0.5, -2.0], [-1.0, 3.0], [0.0, 0.0]])
    components = jax.vmap(lambda own: SpikeAndSlab(own, vae.standard_normal(2)))(jnp.asarray(logits, jnp.float32))
    prior = Mixture(jnp.zeros(3), components)
    penalty = gate_sparsity(0.2)
    view = ExampleView(None, Trace(None, (Latent(Q, prior, Q.mean, None),)), None)
    collected = jnp.stack([penalty.each(view, KEY)] * 2 + [jnp.full(2, jnp.nan)])
    found = penalty.penalty({}, collected, jnp.array([1.0, 1.0, 0.0]), KEY)
    gates = (1 / (1 + np.exp(-logits))).mean(axis=0)
    expected = np.sum(gates * np.log(gates / 0.2) + (1 - gates) * np.log((1 - gates) / 0.8))
    assert float(found) == pytest.approx(expected, rel=1e-4)
    other = view._replace(trace=Trace(None, (Latent(Q, vae.standard_normal(2), Q.mean, None),)))
    with pytest.raises(TypeError, match=r"gate_sparsity got a prior of type Normal; wanted a Mixture of SpikeAndSlab"):
        penalty.each(other, KEY)


def test_other_priors_are_refused():
    with pytest.raises(TypeError, match=r"mixture_bound got a prior of type Normal; wanted a Mixture"):
        mixture_bound(Latent(Q, vae.standard_normal(2), Q.mean, None))
