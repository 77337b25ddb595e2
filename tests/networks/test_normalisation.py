import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tools import waves

from vae.networks import batch_norm, conv_encoder, from_flax, group_norm
from vae.networks.normalisation import normalised

KEY = jax.random.key(2)
IMAGES = np.random.default_rng(0).normal(1.0, 3.0, (6, 5, 4, 12)).astype(np.float32) * np.arange(1, 13, dtype=np.float32)


class One(nn.Module):
    """Nothing but the normalisation."""

    normalisation: object

    @nn.compact
    def __call__(self, x, training=False):
        return normalised(jnp.asarray(x), self.normalisation, training)


def numpy_group_norm(image, groups, epsilon=1e-5):
    """Wu & He 2018, as a loop over the groups of one example."""
    image = image.astype(np.float64)
    out = np.empty_like(image)
    size = image.shape[-1] // groups
    for g in range(groups):
        part = image[..., g * size : (g + 1) * size]
        out[..., g * size : (g + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + epsilon)
    return out


@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("example", [IMAGES[0], IMAGES[0, 0, 0]], ids=["image", "vector"])
def test_group_norm_of_one_example(groups, example):
    net = from_flax(One(group_norm(groups)))
    params, state = net.init(KEY, example)
    output, _ = net.apply(params, state, example)
    np.testing.assert_allclose(output, numpy_group_norm(example, groups), atol=2e-5)


def test_group_norm_of_one_example_equals_the_batch():
    net = from_flax(One(group_norm(4)))
    params, state = net.init(KEY, IMAGES[0])
    mapped = jax.vmap(lambda x: net.apply(params, state, x)[0])(IMAGES)
    np.testing.assert_allclose(mapped, np.stack([numpy_group_norm(image, 4) for image in IMAGES]), atol=2e-5)


def test_group_norm_refuses_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="got 5 groups for 12 channels, wanted a divisor"):
        from_flax(One(group_norm(5))).init(KEY, IMAGES[0])


@pytest.mark.parametrize("batch", [IMAGES, IMAGES[:, 0, 0]], ids=["images", "vectors"])
def test_batch_norm_of_one_example_equals_batched_flax(batch):
    """To rounding: a mean of means adds up in another order."""
    net = from_flax(One(batch_norm(momentum=0.7)))
    params, state = net.init(KEY, batch[0])

    def one(x):
        return net.apply(params, state, x, training=True)

    output, after = jax.vmap(one, axis_name="batch", out_axes=(0, None))(batch)
    flax_norm = nn.BatchNorm(use_running_average=False, momentum=0.7, epsilon=1e-5)
    variables = flax_norm.init(KEY, batch)
    expected, updated = flax_norm.apply(variables, batch, mutable=["batch_stats"])
    np.testing.assert_allclose(output, expected, atol=5e-6)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=2e-6), after["batch_stats"]["BatchNorm_0"], updated["batch_stats"]
    )


def test_batch_norm_follows_its_formula_and_then_uses_the_running_averages():
    net = from_flax(One(batch_norm(momentum=0.7)))
    params, state = net.init(KEY, IMAGES[0])
    train = jax.vmap(lambda x: net.apply(params, state, x, training=True), axis_name="batch", out_axes=(0, None))
    output, after = train(IMAGES)
    mean, variance = IMAGES.mean((0, 1, 2)), IMAGES.astype(float).var((0, 1, 2))
    np.testing.assert_allclose(output, (IMAGES - mean) / np.sqrt(variance + 1e-5), atol=1e-4)
    averages = jax.tree.map(np.asarray, after["batch_stats"]["BatchNorm_0"])
    np.testing.assert_allclose(averages["mean"], 0.3 * mean, rtol=1e-4)
    np.testing.assert_allclose(averages["var"], 0.7 + 0.3 * variance, rtol=1e-4)

    evaluated, same = net.apply(params, after, IMAGES[0])  # outside any vmap
    np.testing.assert_allclose(
        evaluated, (IMAGES[0] - averages["mean"]) / np.sqrt(averages["var"] + 1e-5), rtol=1e-3, atol=1e-5
    )
    jax.tree.map(np.testing.assert_array_equal, same, after)


def test_batch_norm_inside_an_encoder_sees_the_batch():
    net = conv_encoder((4,), (3,), hidden=(8,), kernel_init=waves, normalisation=batch_norm())
    params, state = net.init(KEY, IMAGES[0])
    assert set(state) == {"batch_stats"}
    train = jax.jit(jax.vmap(lambda x: net.apply(params, state, x, training=True), axis_name="batch", out_axes=(0, None)))
    (first, after), (alone, _) = train(IMAGES), train(IMAGES[:2])
    assert np.abs(np.asarray(first[:2]) - alone).max() > 1e-2
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert all(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state)))
    assert jnp.isfinite(net.apply(params, after, IMAGES[0])[0]).all()
