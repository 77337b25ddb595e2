import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tools import run, waves

from vae.networks import bernoulli_output_bias, glorot_uniform, group_norm, kaiming_normal, mlp

KEY = jax.random.key(3)
X = np.random.default_rng(1).normal(size=(16, 4, 3)).astype(np.float32)


def dots(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text().count("dot_general")


def flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def numpy_mlp(params, features):
    """tanh layers and a linear one, in float64."""
    features = np.asarray(features, np.float64)
    for name in sorted(params.get("hidden", {})):
        features = np.tanh(features @ np.float64(params["hidden"][name]["kernel"]) + np.float64(params["hidden"][name]["bias"]))
    return features @ np.float64(params["output"]["kernel"]) + np.float64(params["output"]["bias"])


@pytest.mark.parametrize(("hidden", "outputs"), [((), ()), ((7,), (5,)), ((7, 5, 6), (2, 3, 1))])
def test_values_and_shapes(hidden, outputs):
    net = mlp(hidden, outputs, activation=nn.tanh, kernel_init=waves)
    params, state = net.init(KEY, X[0])
    assert state == {}
    output = run(net, params, X[0])
    assert output.shape == outputs
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, numpy_mlp(params, X[0].reshape(-1)).reshape(outputs), atol=1e-6)


def test_inputs_are_joined_x_first_then_the_context():
    net = mlp((), (2,), kernel_init=waves)
    x, context = {"a": np.array([0, 255], np.uint8), "b": np.ones((1, 2), np.float32)}, (np.array([3]), 4.0)
    params, _state = net.init(KEY, x, context)
    expected = numpy_mlp(params, [0.0, 1.0, 1.0, 1.0, 3.0, 4.0])
    np.testing.assert_allclose(run(net, params, x, context), expected, atol=1e-6)


def test_one_example_equals_the_batch_at_the_same_cost():
    net = mlp((50, 40), (10,), activation=nn.tanh, kernel_init=waves)
    params, _ = net.init(KEY, X[0])
    mapped = jax.vmap(lambda x: net.apply(params, {}, x)[0])

    def batched(x):
        features = x.reshape(len(x), -1)
        for name in ("Dense_0", "Dense_1"):
            features = jnp.tanh(features @ params["hidden"][name]["kernel"] + params["hidden"][name]["bias"][None])
        return features @ params["output"]["kernel"] + params["output"]["bias"][None]

    np.testing.assert_allclose(jax.jit(mapped)(X)[:2], [run(net, params, x) for x in X[:2]], atol=1e-6)
    np.testing.assert_allclose(jax.jit(mapped)(X), numpy_mlp(params, X.reshape(16, -1)), atol=1e-6)
    assert dots(mapped, X) == dots(batched, X) == 3
    assert flops(mapped, X) == flops(batched, X)


def test_normalisation_comes_before_the_activation():
    net = mlp((8,), (3,), activation=jnp.abs, kernel_init=waves, normalisation=group_norm(1))
    params, _state = net.init(KEY, X[0])
    features = X[0].reshape(-1) @ params["hidden"]["Dense_0"]["kernel"]
    features = np.abs((features - features.mean()) / np.sqrt(features.var() + 1e-5))
    expected = features @ params["output"]["kernel"]
    np.testing.assert_allclose(run(net, params, X[0]), expected, atol=1e-4)


def test_output_bias_is_the_output_at_zero():
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3)).astype(np.float32)
    net = mlp((6,), (4, 3), kernel_init=waves, output_bias=bernoulli_output_bias(mean))
    params, _state = net.init(KEY, np.zeros(2, np.float32))
    output = run(net, params, np.zeros(2, np.float32))
    np.testing.assert_allclose(jax.nn.sigmoid(output), mean, rtol=1e-5)
    assert params["output"]["bias"].shape == (12,)
    scalar = mlp((6,), (4, 3), kernel_init=waves, output_bias=-2.0)
    params, _ = scalar.init(KEY, np.zeros(2))
    np.testing.assert_array_equal(run(scalar, params, np.zeros(2)), np.full((4, 3), -2.0))


@pytest.mark.parametrize(("init", "std"), [(None, np.sqrt(2 / (256 + 128))), (kaiming_normal(), np.sqrt(2 / 256))])
def test_initial_weights(init, std):
    net = mlp((128,), (128,), kernel_init=init)
    params, _ = net.init(KEY, np.zeros(256, np.float32))
    kernel = np.asarray(params["hidden"]["Dense_0"]["kernel"])
    assert abs(kernel.std() / std - 1) < 4 / np.sqrt(2 * kernel.size)
    assert not np.any(params["hidden"]["Dense_0"]["bias"])


def test_same_default_as_glorot_uniform():
    default, named = (mlp((5,), (2,), kernel_init=init).init(KEY, X[0]) for init in (None, glorot_uniform()))
    jax.tree.map(np.testing.assert_array_equal, default, named)


def test_gradient_equals_finite_differences():
    net = mlp((9,), (2,), activation=nn.tanh, kernel_init=waves)
    params, _ = net.init(KEY, X[0])
    gradient = jax.jit(jax.grad(lambda p: net.apply(p, {}, X[0])[0].sum()))(params)
    kernel = params["hidden"]["Dense_0"]["kernel"]
    direction = np.random.default_rng(3).normal(size=kernel.shape)
    step = 1e-4

    def moved(sign):
        layer = {"kernel": np.float64(kernel) + sign * step * direction, "bias": params["hidden"]["Dense_0"]["bias"]}
        return numpy_mlp({"hidden": {"Dense_0": layer}, "output": params["output"]}, X[0].reshape(-1)).sum()

    slope = float(np.vdot(gradient["hidden"]["Dense_0"]["kernel"], direction))
    assert slope == pytest.approx((moved(1) - moved(-1)) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("hidden", [(0,), (4, -1)])
def test_refuses_bad_widths(hidden):
    with pytest.raises(ValueError, match=r"mlp got hidden widths \(.*\), wanted 0 or more positive integers"):
        mlp(hidden, (3,))


def test_refuses_bad_outputs_and_bias():
    with pytest.raises(ValueError, match=r"mlp got outputs \(3, 0\)"):
        mlp((4,), (3, 0))
    with pytest.raises(ValueError, match=r"output bias of shape \(4,\), wanted a scalar or the shape of the outputs \(3,\)"):
        mlp((4,), (3,), output_bias=np.zeros(4))


def test_dropout_of_the_hidden_units():
    """A share of them is zero and the rest is raised, so that the mean of the output stays; the last layer drops nothing."""
    plain, dropping = (mlp((2000,), (1,), activation=nn.relu, dropout=share) for share in (0.0, 0.25))
    assert (plain.stochastic, dropping.stochastic) == (False, True)
    params, state = dropping.init(KEY, X[0])
    jax.tree.map(np.testing.assert_array_equal, params, plain.init(KEY, X[0])[0])
    whole = plain.apply(params, state, X[0])[0]
    np.testing.assert_array_equal(dropping.apply(params, state, X[0])[0], whole)
    keys = jax.random.split(KEY, 400)
    drawn = jax.vmap(lambda key: dropping.apply(params, state, X[0], training=True, key=key)[0])(keys)
    features = np.maximum(X[0].reshape(-1) @ params["hidden"]["Dense_0"]["kernel"] + params["hidden"]["Dense_0"]["bias"], 0)
    terms = features * np.asarray(params["output"]["kernel"])[:, 0]
    std = np.sqrt(np.sum(terms**2) * 0.25 / 0.75)
    assert abs(float(jnp.mean(drawn)) - float(whole[0])) < 4 * std / 20
    assert float(jnp.std(drawn)) == pytest.approx(std, rel=0.15)
    with pytest.raises(ValueError, match=r"mlp got dropout = 1.0, wanted a share in \[0, 1\)"):
        mlp((3,), (2,), dropout=1.0)
