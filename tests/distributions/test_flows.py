"""Flows as maps (log-determinants, inverses, structure) and as distributions."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from vae.distributions import Normal, Transformed, standard_normal
from vae.flows import affine_coupling, chain, inverse_autoregressive, invert, masked_autoregressive, permute, planar, reverse

DIM = 4
CONTEXT = jnp.array([0.7, -1.2, 0.4])

FLOWS = {
    "planar": planar(DIM, context_dim=3),
    "inverse_autoregressive": inverse_autoregressive(DIM, hidden=(12, 16), context_dim=3),
    "masked_autoregressive": masked_autoregressive(DIM, hidden=(16,), context_dim=3),
    "affine_coupling": affine_coupling(DIM, hidden=(16,), context_dim=3),
    "chain": chain(affine_coupling(DIM, hidden=(16,)), reverse(DIM), planar(DIM, context_dim=3)),
}


def strong(flow, seed=0, scale=1.0):
    """Parameters far from the identity: initial values start near it, which would hide mistakes. Nothing is compiled."""
    draw = np.random.default_rng(seed)
    structure = jax.eval_shape(flow.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(scale * 0.7 * draw.standard_normal(leaf.shape), leaf.dtype), structure)


@pytest.fixture(scope="module", params=FLOWS)
def measured(request):
    """Everything about one flow at eight points, in one compiled function."""
    flow = FLOWS[request.param]

    @jax.jit
    @jax.vmap
    def measure(z, direction):
        x, log_det = flow.forward_and_log_det(params, z, CONTEXT)
        jacobian = jax.jacfwd(lambda v: flow.forward_and_log_det(params, v, CONTEXT)[0])(z)
        (back, inverse_log_det), (returned, _) = jax.jvp(
            lambda v: flow.inverse_and_log_det(params, v, CONTEXT), (x,), (jacobian @ direction,)
        )
        named = {"z": z, "x": x, "log_det": log_det, "jacobian": jacobian, "back": back, "inverse_log_det": inverse_log_det}
        return named | {"direction": direction, "returned": returned}

    params = strong(flow)
    return request.param, measure(*(2.0 * jax.random.normal(jax.random.key(s), (8, DIM)) for s in (1, 2)))


def test_log_determinant_is_that_of_the_jacobian(measured):
    _, m = measured
    sign, expected = np.linalg.slogdet(np.asarray(m["jacobian"], np.float64))
    assert np.all(sign > 0) or np.all(sign < 0)
    np.testing.assert_allclose(m["log_det"], expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(m["log_det"]) > 1e-2, "the test needs a flow whose volume varies"


def test_inverse_undoes_forward_in_value_volume_and_derivative(measured):
    _, m = measured
    np.testing.assert_allclose(m["back"], m["z"], atol=2e-4)
    np.testing.assert_allclose(m["inverse_log_det"], -m["log_det"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(m["returned"], m["direction"], atol=5e-3)


def test_autoregressive_jacobians_are_triangular_and_full_below(measured):
    name, m = measured
    if name in ("planar", "chain"):
        return  # the fixture also serves flows without this structure
    above = np.triu(np.ones((DIM, DIM), bool), 1)
    np.testing.assert_array_equal(m["jacobian"][:, above], 0.0)
    below = np.tril(np.ones((DIM, DIM), bool), -1)
    if name == "affine_coupling":
        below[: DIM // 2] = False
        below[DIM // 2 :, DIM // 2 :] = False
        np.testing.assert_array_equal(m["x"][:, : DIM // 2], m["z"][:, : DIM // 2])
    assert np.all(np.max(np.abs(m["jacobian"]), axis=0)[below] > 1e-3), "a mask cuts a dependence that should be there"


@pytest.mark.parametrize("name", ["inverse_autoregressive", "affine_coupling", "planar"])
def test_context_reaches_every_changed_component(name):
    flow = FLOWS[name]
    params = strong(flow)
    jacobian = jax.jit(jax.jacfwd(lambda c: flow.forward_and_log_det(params, jnp.ones(DIM), c)[0]))(CONTEXT)
    changed = np.arange(DIM) >= (DIM // 2 if name == "affine_coupling" else 0)
    assert np.all(np.max(np.abs(jacobian), axis=1)[changed] > 1e-4)
    assert np.all(np.asarray(jacobian)[~changed] == 0.0)


def test_flows_start_near_the_identity():
    flows, z = [FLOWS[name] for name in ("planar", "inverse_autoregressive", "affine_coupling")], jnp.linspace(-1.5, 1.5, DIM)
    images = jax.jit(lambda key: [flow.forward_and_log_det(flow.init(key), z, CONTEXT) for flow in flows])(jax.random.key(0))
    for x, log_det in images:
        np.testing.assert_allclose(x, z, atol=0.2)
        assert abs(log_det) < 0.2


def two_dimensional(name):
    return {
        "planar": planar(2),
        "iaf": inverse_autoregressive(2, hidden=(8,)),
        "maf": masked_autoregressive(2, hidden=(8,)),
        "coupling": chain(affine_coupling(2, hidden=(8,)), reverse(2), affine_coupling(2, hidden=(8,))),
    }[name]


@pytest.mark.parametrize("name", ["planar", "iaf", "maf", "coupling"])
def test_density_integrates_to_one_and_own_samples_agree(name):
    flow = two_dimensional(name)
    model = Transformed(base=standard_normal(2), flow=flow, params=strong(flow, scale=0.5))
    axis = np.linspace(-25.0, 25.0, 501)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    density = np.exp(np.asarray(jax.jit(jax.vmap(model.log_prob))(grid), np.float64))
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=3e-3)

    draws, log_q = jax.jit(jax.vmap(model.sample_and_log_prob))(jax.random.split(jax.random.key(7), 2_000))
    np.testing.assert_allclose(log_q, jax.jit(jax.vmap(model.log_prob))(draws), rtol=1e-3, atol=2e-3)
    one = jax.jit(model.sample)(jax.random.split(jax.random.key(7), 2_000)[0])
    chex.assert_trees_all_close(draws[0], one, rtol=1e-5)
    # the sampler agrees with the density: E_q[exp(-|x|^2 / 2)] from draws and from the grid
    weight = np.exp(-0.5 * np.sum(grid**2, axis=1))
    seen = np.exp(-0.5 * np.sum(np.square(draws), axis=1))
    expected = np.sum(density * weight) * (axis[1] - axis[0]) ** 2
    assert abs(seen.mean() - expected) < 4 * seen.std() / np.sqrt(seen.size)


@pytest.mark.parametrize("name", ["planar", "iaf"])
def test_gradient_of_log_prob_is_that_of_finite_differences(name):
    """Through the search of the planar inverse and the sequential inverse of the autoregressive one."""
    flow = two_dimensional(name)
    flat, restore = ravel_pytree(strong(flow, scale=0.5))
    x = jnp.array([0.6, -0.9])

    @jax.jit
    def log_prob(flat, x):
        return Transformed(base=standard_normal(2), flow=flow, params=restore(flat)).log_prob(x)

    by_params, by_value = jax.jit(jax.grad(log_prob, argnums=(0, 1)))(flat, x)
    step = 1e-2  # float32: the fourth-order difference is good to about 1e-4

    def central(function, at):
        steps = step * jnp.array([-2.0, -1.0, 1.0, 2.0])[:, None, None] * jnp.eye(at.size)[None]
        minus_2, minus_1, plus_1, plus_2 = jax.vmap(jax.vmap(function))(at[None, None] + steps)
        return (8.0 * (plus_1 - minus_1) - (plus_2 - minus_2)) / (12 * step)

    np.testing.assert_allclose(by_params, central(lambda f: log_prob(f, x), flat), rtol=5e-3, atol=1e-3)
    np.testing.assert_allclose(by_value, central(lambda v: log_prob(flat, v), x), rtol=5e-3, atol=1e-3)


def test_planar_stays_invertible_where_the_raw_parameters_are_not():
    """u'w = -400 before the constraint: volume stays positive and the inverse still finds the point."""
    flow = planar(3)
    params = strong(flow) | {"normal": 10.0 * jnp.ones(3), "stretch": -20.0 * jnp.ones(3) * 2 / 3}
    z = jax.random.normal(jax.random.key(1), (64, 3))
    x, log_det = jax.jit(jax.vmap(lambda v: flow.forward_and_log_det(params, v)))(z)
    back, _ = jax.jit(jax.vmap(lambda v: flow.inverse_and_log_det(params, v)))(x)
    assert np.all(np.isfinite(log_det))
    np.testing.assert_allclose(back, z, atol=2e-3)
    gradient = jax.jit(jax.grad(lambda p: flow.inverse_and_log_det(p, x[0])[1]))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_planar_with_a_vanishing_normal_is_a_shift_with_finite_gradients():
    flow = planar(3)
    params = strong(flow) | {"normal": jnp.zeros(3), "stretch": jnp.ones(3), "offset": jnp.array(0.5)}
    x, log_det = flow.forward_and_log_det(params, jnp.zeros(3))
    np.testing.assert_allclose(x, np.tanh(0.5) * np.ones(3), rtol=1e-5)
    assert log_det == pytest.approx(0.0, abs=1e-6)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(flow.forward_and_log_det(p, jnp.zeros(3))[0])))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("build", [inverse_autoregressive, affine_coupling])
def test_one_dimension_is_an_affine_map(build):
    flow = build(1, hidden=(4,))
    params = strong(flow)
    z = jnp.linspace(-2.0, 2.0, 5)[:, None]
    x, log_det = jax.jit(jax.vmap(lambda v: flow.forward_and_log_det(params, v)))(z)
    np.testing.assert_allclose(np.diff(x[:, 0]), np.exp(log_det[0]) * np.diff(z[:, 0]), rtol=1e-4)


def test_log_scale_is_bounded_smoothly():
    flow = inverse_autoregressive(3, hidden=(8,), log_scale_limit=2.0)
    params = jax.tree.map(lambda leaf: 1e3 * leaf, strong(flow))

    def total(params):
        return flow.forward_and_log_det(params, jnp.ones(3))[1]

    value, gradient = jax.jit(jax.value_and_grad(total))(params)
    assert abs(value) <= 6.0
    assert max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(gradient["layers"][-1])) > 0.0


def test_own_log_q_does_not_invert():
    def no_inverse(params, value, context=()):
        raise NotImplementedError

    flow = inverse_autoregressive(3, hidden=(8,))
    params, base = strong(flow), Normal(mean=jnp.ones(3), log_std=-jnp.ones(3))
    one_way = Transformed(base=base, flow=flow._replace(inverse_and_log_det=no_inverse), params=params)
    both_ways = Transformed(base=base, flow=flow, params=params)
    draws = jax.jit(lambda key: [d.sample_and_log_prob(key) for d in (one_way, both_ways)])(jax.random.key(1))
    chex.assert_trees_all_close(*draws, rtol=1e-6)
    scored = Transformed(base=base, flow=invert(flow._replace(inverse_and_log_det=no_inverse)), params=params)
    assert np.isfinite(jax.jit(scored.log_prob)(jnp.zeros(3)))


def test_transformed_crosses_jit_and_vmap_as_a_pytree():
    flow = FLOWS["inverse_autoregressive"]
    params = strong(flow)

    def posterior(h):
        return Transformed(base=standard_normal(DIM), flow=flow, params=params, context=h)

    contexts = jax.random.normal(jax.random.key(3), (5, 3))
    together = jax.jit(jax.vmap(lambda h: posterior(h).log_prob(jnp.ones(DIM))))(contexts)
    one = jax.jit(lambda d: d.log_prob(jnp.ones(DIM)))
    chex.assert_trees_all_close(together, jnp.stack([one(posterior(h)) for h in contexts]), rtol=1e-5)


def test_bad_input_is_refused_in_one_sentence():
    flow = FLOWS["inverse_autoregressive"]
    params = strong(flow)
    with pytest.raises(ValueError, match=r"shape \(2, 4\), wanted \(4,\): add batch axes with jax.vmap"):
        flow.forward_and_log_det(params, jnp.ones((2, DIM)), CONTEXT)
    with pytest.raises(ValueError, match=r"context_dim=3 but its context is \(\)"):
        flow.forward_and_log_det(params, jnp.ones(DIM))
    with pytest.raises(ValueError, match=r"context_dim=3 but its context is one of shape \(2,\)"):
        flow.inverse_and_log_det(params, jnp.ones(DIM), jnp.ones(2))
    with pytest.raises(ValueError, match=r"each of 0\.\.2 once"):
        permute([0, 0, 2])
    with pytest.raises(ValueError, match="one hidden layer"):
        inverse_autoregressive(3, hidden=())
    with pytest.raises(ValueError, match="at least 1"):
        planar(0)
    with pytest.raises(ValueError, match="no flow"):
        chain()


def test_permutations_undo_themselves():
    flow = permute([2, 0, 1])
    x, log_det = flow.forward_and_log_det((), jnp.array([1.0, 2.0, 3.0]))
    chex.assert_trees_all_equal(x, jnp.array([3.0, 1.0, 2.0]))
    chex.assert_trees_all_equal(flow.inverse_and_log_det((), x)[0], jnp.array([1.0, 2.0, 3.0]))
    assert log_det == 0.0
