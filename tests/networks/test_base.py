import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.networks.base import flatten, from_flax

KEY = jax.random.key(0)


class Plain(nn.Module):
    """A user's module that has never heard of `training`."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


class Counter(nn.Module):
    """Adds 1 to a count under training."""

    @nn.compact
    def __call__(self, x, training=False):
        count = self.variable("tally", "count", jnp.zeros, ())
        if training:
            count.value += 1.0
        return x + self.param("shift", nn.initializers.ones, (2,))


def test_a_module_without_training_or_state():
    net = from_flax(Plain())
    params, state = net.init(KEY, jax.ShapeDtypeStruct((2,), jnp.float32))
    x = jnp.array([1.0, -2.0])
    for training in (False, True):
        output, after = net.apply(params, state, x, training=training)
        assert state == {} == after
        np.testing.assert_allclose(output, x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], rtol=1e-6)


def test_state_changes_in_training_only():
    net = from_flax(Counter())
    params, state = net.init(KEY, jnp.zeros(2))
    assert state == {"tally": {"count": 0.0}}
    assert net.apply(params, state, jnp.zeros(2))[1] == state
    output, after = net.apply(params, state, jnp.zeros(2), training=True)
    assert after == {"tally": {"count": 1.0}}
    np.testing.assert_array_equal(output, [1.0, 1.0])


def test_init_reads_shapes_only_and_can_be_evaluated_abstractly_and_mapped():
    net = from_flax(Plain())
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    from_struct, from_array, from_numpy = (
        net.init(KEY, shape),
        net.init(KEY, jnp.full(2, 7.0)),
        net.init(KEY, np.ones(2, "float32")),
    )
    jax.tree.map(np.testing.assert_array_equal, from_struct, from_array)
    jax.tree.map(np.testing.assert_array_equal, from_struct, from_numpy)
    abstract, _ = jax.eval_shape(lambda key: net.init(key, shape), KEY)
    assert abstract["Dense_0"]["kernel"].shape == (2, 3)
    seeds, _ = jax.vmap(lambda key: net.init(key, shape))(jax.random.split(KEY, 4))
    assert seeds["Dense_0"]["kernel"].shape == (4, 2, 3)


def test_init_depends_on_the_key():
    net = from_flax(Plain())
    one, other = (net.init(jax.random.key(i), jnp.zeros(2))[0]["Dense_0"]["kernel"] for i in range(2))
    assert not np.any(np.asarray(one) == np.asarray(other))


def test_flatten_keeps_the_order_of_leaves_and_scales_stored_pixels():
    tree = ({"b": np.array([[0, 255]], np.uint8), "a": jnp.array([True, False])}, (np.array([7], np.int64), 0.5))
    flat = flatten(tree)
    assert flat.dtype == jnp.float32
    np.testing.assert_allclose(flat, [1.0, 0.0, 0.0, 1.0, 7.0, 0.5])


def test_flatten_refuses_nothing():
    with pytest.raises(ValueError, match="got no input, wanted at least one array"):
        flatten(((), ()))


class Noisy(nn.Module):
    """A user's module with dropout."""

    @nn.compact
    def __call__(self, x, training=False):
        return nn.Dropout(0.5, deterministic=not training)(x * self.param("scale", nn.initializers.ones, ()))


def test_dropout_takes_the_key_that_apply_is_given():
    net = from_flax(Noisy(), stochastic=True)
    assert net.stochastic
    assert not from_flax(Plain()).stochastic
    x = jnp.ones(1000)
    params, state = net.init(KEY, x)
    np.testing.assert_array_equal(net.apply(params, state, x)[0], x)
    one, again, other = (net.apply(params, state, x, training=True, key=jax.random.key(i))[0] for i in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(np.asarray(one) != np.asarray(other))
    assert set(np.unique(one)) == {0.0, 2.0}
    with pytest.raises(ValueError, match=r"Noisy draws random numbers and got no key; declare it by from_flax\(module, stoch"):
        net.apply(params, state, x, training=True)
