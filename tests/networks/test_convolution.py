import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tools import run, waves

from vae.networks import bernoulli_output_bias, conv_decoder, conv_encoder, group_norm, kaiming_normal
from vae.networks.base import from_flax
from vae.networks.convolution import Double, Halve, depth_to_space, level_sizes, space_to_depth

KEY = jax.random.key(4)
RNG = np.random.default_rng(2)
SIZES = [(28, 28, 1), (7, 5, 3), (45, 37, 2), (8, 8, 1), (1, 1, 1), (64, 32, 3), (128, 128, 3), (2, 9, 4)]


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def loop_convolution(x, filters):
    """4x4 filters, stride 2, one row and column of zeros around, an odd side padded at its end: as the definition reads."""
    height, width, _ = x.shape
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    padded = np.zeros((2 * half_height + 2, 2 * half_width + 2, x.shape[2]))
    padded[1 : 1 + height, 1 : 1 + width] = x
    out = np.zeros((half_height, half_width, filters.shape[-1]))
    for i in range(half_height):
        for j in range(half_width):
            out[i, j] = np.einsum("uvc,uvcd->d", padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4], filters)
    return out


def loop_transposed_convolution(x, filters, height, width):
    """Every input place adds its 4x4 patch to the output, two pixels further for each place, from one before the edge."""
    out = np.zeros((2 * x.shape[0] + 2, 2 * x.shape[1] + 2, filters.shape[-1]))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("c,uvcd->uvd", x[i, j], filters)
    return out[1 : 1 + height, 1 : 1 + width]


def halving_filters(kernel, inputs):
    """The 4x4 filters of a `Halve` kernel: row 2 u + p of a filter is row p of block u."""
    blocks = kernel.reshape(2, 2, 2, 2, inputs, -1)  # block row, block column, row in it, column in it
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, inputs, -1)


def doubling_filters(kernel, outputs):
    """The 4x4 filters of a `Double` kernel.

    The unfolded block at row i holds output rows 2 i - 1 + p, p = 0, 1, and takes inputs i - 1 + u. Input i adds filter row
    t to output row 2 i - 1 + t, so that t = 2 (1 - u) + p.
    """
    blocks = kernel.reshape(2, 2, -1, 2, 2, outputs)  # u, v, inputs, p, q
    return blocks[::-1, ::-1].transpose(0, 3, 1, 4, 2, 5).reshape(4, 4, -1, outputs)


def layer(module, x):
    net = from_flax(module)
    params, _ = net.init(KEY, x)
    params = {"kernel": params["kernel"], "bias": np.arange(params["bias"].size, dtype=np.float32)}
    return params, run(net, params, x)


@pytest.mark.parametrize(("shape", "channels"), [((6, 8, 3), 1), ((7, 5, 2), 5), ((1, 1, 4), 3), ((3, 2, 1), 30)])
def test_halving_is_a_convolution_with_4x4_filters_and_stride_2(shape, channels):
    x = normal(*shape)
    params, output = layer(Halve(channels, waves), x)
    expected = loop_convolution(x, halving_filters(np.asarray(params["kernel"]), shape[2])) + params["bias"]
    np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "channels", "crop"), [((3, 4, 3), 2, 0), ((4, 3, 32), 5, 1), ((4, 3, 32), 1, 1), ((1, 1, 16), 4, 0)]
)
def test_doubling_is_a_transposed_convolution_with_4x4_filters_and_stride_2(shape, channels, crop):
    """On both sides of the choice which of products and windows comes first (32 inputs against 4 or 20 outputs)."""
    x, size = normal(*shape), (2 * shape[0] - crop, 2 * shape[1])
    params, output = layer(Double(channels, size, waves), x)
    filters = doubling_filters(np.asarray(params["kernel"]), channels)
    expected = loop_transposed_convolution(x, filters, *size) + params["bias"]
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_doubling_equals_the_transposed_convolution_of_flax():
    """Any filter of Flax's layer can be expressed: only the order of the numbers differs."""
    x = normal(5, 6, 3)
    flax_layer = nn.ConvTranspose(4, (4, 4), (2, 2), padding="SAME", use_bias=False, transpose_kernel=False)
    variables = flax_layer.init(KEY, x)
    flipped = np.asarray(variables["params"]["kernel"])[::-1, ::-1]  # lax correlates, a transposed convolution convolves
    expected = loop_transposed_convolution(x, flipped, 10, 12)
    np.testing.assert_allclose(flax_layer.apply(variables, x), expected, atol=1e-5)
    blocks = flipped.reshape(2, 2, 2, 2, 3, 4).transpose(0, 2, 4, 1, 3, 5)[::-1, ::-1]
    net = from_flax(Double(4, (10, 12), waves))
    params = {"kernel": blocks.reshape(2, 2, 3, 16), "bias": np.zeros(4, np.float32)}
    np.testing.assert_allclose(run(net, params, x), expected, atol=1e-5)


def test_folding_and_unfolding_are_inverse():
    x = normal(4, 6, 5)
    folded = space_to_depth(jnp.asarray(x))
    np.testing.assert_array_equal(folded[1, 2].reshape(2, 2, 5), x[2:4, 4:6])
    np.testing.assert_array_equal(depth_to_space(folded), x)


def test_sizes_of_the_levels():
    assert level_sizes(45, 37, 3) == [(45, 37), (23, 19), (12, 10), (6, 5)]
    assert level_sizes(7, 1, 3) == [(7, 1), (4, 1), (2, 1), (1, 1)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("widths", [(4,), (4, 6, 8)])
def test_shapes_of_any_image(shape, widths):
    image, z = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((5,), jnp.float32)
    encoder, decoder = conv_encoder(widths, (5,)), conv_decoder(widths[::-1], shape)
    for net, x, outputs in ((encoder, image, (5,)), (decoder, z, shape)):
        output, state = jax.eval_shape(lambda x: net.apply(*net.init(KEY, x), x), x)  # noqa: B023
        assert output.shape == outputs
        assert output.dtype == jnp.float32
        assert state == {}


@pytest.fixture(scope="module")
def encoder():
    """With all that can be chosen: an odd size, a dense layer, a context, normalisation."""
    net = conv_encoder((4, 8), (2, 3), hidden=(8,), activation=nn.tanh, kernel_init=waves, normalisation=group_norm(2))
    params, _ = net.init(KEY, jax.ShapeDtypeStruct((7, 5, 2), jnp.float32), jnp.zeros(3))
    return net, params, (normal(6, 7, 5, 2), normal(6, 3))


@pytest.fixture(scope="module")
def decoder():
    net = conv_decoder((8, 4), (7, 5, 2), hidden=(8,), activation=nn.tanh, kernel_init=waves, normalisation=group_norm(2))
    params, _ = net.init(KEY, jnp.zeros(4), jnp.zeros(3))
    return net, params, (normal(6, 4), normal(6, 3))


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_one_example_equals_the_batch_and_jit_changes_nothing(name, request):
    net, params, inputs = request.getfixturevalue(name)
    mapped = jax.jit(jax.vmap(lambda *one: net.apply(params, {}, *one)[0]))(*inputs)
    one = jax.jit(lambda *one: net.apply(params, {}, *one)[0])
    np.testing.assert_allclose(mapped, np.stack([one(*example) for example in zip(*inputs)]), atol=1e-5)
    with jax.disable_jit():
        eager = net.apply(params, {}, *(x[0] for x in inputs))[0]
    np.testing.assert_allclose(mapped[0], eager, atol=1e-5)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_the_batch_costs_as_many_products_and_operations_as_its_examples(name, request):
    net, params, inputs = request.getfixturevalue(name)

    def one(*example):
        return net.apply(params, {}, *example)[0]

    lowered = jax.jit(jax.vmap(one)).lower(*inputs), jax.jit(one).lower(*(x[0] for x in inputs))
    assert len({text.as_text().count("dot_general") for text in lowered}) == 1
    batch, single = (text.compile().cost_analysis()["flops"] for text in lowered)
    assert batch == pytest.approx(6 * single, rel=0.02)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_gradients_are_finite_and_every_parameter_has_one(name, request):
    net, params, inputs = request.getfixturevalue(name)

    def loss(params):
        return jnp.sum(jnp.sin(jax.vmap(lambda *one: net.apply(params, {}, *one)[0])(*inputs)))

    gradients = jax.jit(jax.grad(loss))(params)
    for gradient in jax.tree.leaves(gradients):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_the_context_matters(name, request):
    net, params, (x, context) = request.getfixturevalue(name)
    gradient = jax.jit(jax.grad(lambda c: jnp.sum(jnp.sin(net.apply(params, {}, x[0], c)[0]))))(context[0])
    assert np.abs(gradient).min() > 1e-5


def test_gray_images_without_a_channel_axis_and_stored_pixels():
    net = conv_encoder((4,), (3,), kernel_init=waves)
    pixels = RNG.integers(0, 256, (9, 8)).astype(np.uint8)
    params, _ = net.init(KEY, pixels)
    expected = run(net, params, (pixels / 255).astype(np.float32)[..., None])
    np.testing.assert_allclose(run(net, params, pixels), expected, atol=1e-6)
    plain = conv_decoder((4,), (9, 8), kernel_init=waves)
    assert run(plain, plain.init(KEY, jnp.zeros(2))[0], jnp.zeros(2)).shape == (9, 8)


def test_several_axes_of_channels_are_the_channels_in_order():
    flat, folded = (conv_decoder((4,), shape, kernel_init=waves) for shape in ((6, 5, 12), (6, 5, 3, 4)))
    params, _ = flat.init(KEY, jnp.zeros(2))
    z = normal(2)
    np.testing.assert_array_equal(run(folded, params, z), run(flat, params, z).reshape(6, 5, 3, 4))


def test_output_bias_is_learned_per_pixel_and_is_the_output_at_zero():
    mean = RNG.uniform(0.1, 0.9, (7, 5, 2)).astype(np.float32)
    net = conv_decoder((4, 4), (7, 5, 2), kernel_init=waves, output_bias=bernoulli_output_bias(mean))
    params, _ = net.init(KEY, jnp.zeros(3))
    assert params["output"]["bias"].shape == (7, 5, 2)
    np.testing.assert_allclose(jax.nn.sigmoid(run(net, params, jnp.zeros(3))), mean, rtol=1e-5)
    scalar = conv_decoder((4,), (3, 4), kernel_init=waves, output_bias=-1.5)
    params, _ = scalar.init(KEY, jnp.zeros(3))
    np.testing.assert_array_equal(run(scalar, params, jnp.zeros(3)), np.full((3, 4), -1.5))
    plain = conv_decoder((4,), (7, 5, 2), kernel_init=waves).init(KEY, jnp.zeros(3))[0]
    assert plain["output"]["bias"].shape == (2,)


def test_no_checkerboard_at_the_start():
    """Over many draws of the weights, every inner pixel of a doubled constant image has the same variance."""
    module = from_flax(Double(1, (8, 8), kaiming_normal()))
    x = jnp.ones((4, 4, 16))
    draw = jax.jit(jax.vmap(lambda key: module.apply(*module.init(key, x), x)[0]))
    inner = np.asarray(draw(jax.random.split(KEY, 2000)))[:, 1:-1, 1:-1, 0]
    assert np.abs(inner.var(0) / 2.0 - 1).max() < 5 * np.sqrt(2 / 2000)  # He's scale doubles the second moment of ones


def test_initial_scale_is_kept_through_both_layers():
    """The fans of the stored kernels are the true ones: He's scale gives 2 E[x^2] in the interior."""
    x = normal(32, 32, 16)
    for module in (Halve(64, kaiming_normal()), Double(64, (64, 64), kaiming_normal())):
        net = from_flax(module)
        output = run(net, net.init(KEY, x)[0], x)[2:-2, 2:-2]
        assert np.mean(output**2) / np.mean(x**2) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: conv_encoder((), (3,)), r"conv_encoder got widths \(\), wanted 1 or more positive integers"),
        (lambda: conv_encoder((4, 0), (3,)), r"conv_encoder got widths \(4, 0\)"),
        (lambda: conv_encoder((4,), (-3,)), r"conv_encoder got outputs \(-3,\)"),
        (lambda: conv_decoder((), (8, 8, 1)), r"conv_decoder got widths \(\)"),
        (lambda: conv_decoder((4,), (8,)), r"outputs \(height, width, channels\) \(8,\), wanted 2 or more positive integers"),
        (lambda: conv_decoder((4,), (8, 8, 0)), r"\(8, 8, 0\)"),
        (lambda: conv_decoder((4,), (8, 8, 1), output_bias=np.zeros((8, 8))), r"output bias of shape \(8, 8\)"),
        (lambda: conv_encoder((4,), (3,)).init(KEY, jnp.zeros(16)), r"an x of shape \(16,\), wanted one image"),
        (lambda: conv_encoder((4,), (3,)).init(KEY, jnp.zeros((2, 8, 8, 1))), "vmap over a batch"),
        (lambda: conv_encoder((4,), (3,)).init(KEY, {"x": jnp.zeros((8, 8))}), "an x of shape None"),
    ],
)
def test_refuses_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()
