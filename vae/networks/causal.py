"""Networks over a grid of codes whose output at a place sees nothing but the codes before it: of autoregressive priors.

A network is a trunk over the places, in raster order, and a head over the codes of one place. Everything is there twice: for
all places of a given grid at once, which is what training needs, and for one place after the other with a cache of what the
places before it have left, which is what sampling needs: n places cost n steps, not n passes over all of them.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PyTree

from vae.distributions.categorical import at_temperature
from vae.networks.base import checked_sizes, flatten
from vae.networks.initialisers import glorot_uniform
from vae.requirements import require
from vae.types import Key

FAR = -1e30  # a logit that no softmax sees


class Trunk(NamedTuple):
    """Layers from (places, width) to (places, width) whose output i depends on the inputs 0..i.

    init(key) -> params
    whole(params, inputs) -> outputs            all places at once
    start(params) -> cache                      of no place
    step(params, cache, place, input) -> output, cache        one place, those before it being in the cache
    """

    init: Callable[[Key], PyTree]
    whole: Callable[[PyTree, Float[Array, "places width"]], Float[Array, "places width"]]
    start: Callable[[PyTree], PyTree]
    step: Callable[[PyTree, PyTree, Any, Float[Array, "width"]], tuple[Float[Array, "width"], PyTree]]


class CodeNetwork(NamedTuple):
    """Logits of codes given those before them, places in raster order and the codes of a place in theirs.

    shape: of a value, (*grid, depth).
    codes: K.
    init(key) -> params
    logits(params, value, context) -> (*shape, K)                     of every code of a given value
    sample(params, key, context, temperature) -> value                 drawn one after the other, logits / temperature
    """

    shape: tuple[int, ...]
    codes: int
    init: Callable[[Key], PyTree]
    logits: Callable[[PyTree, Array, PyTree], Float[Array, "*shape codes"]]
    sample: Callable[..., Integer[Array, "*shape"]]


def causal_transformer(
    grid: Sequence[int], depth: int, codes: int, width: int = 64, layers: int = 2, heads: int = 4, context: PyTree = ()
) -> CodeNetwork:
    """Self-attention over all places before. (Vaswani et al. 2017, section 3; normalised first, as Radford et al. 2019.)

    grid:    sizes of the grid of codes, (height, width) or (length,).
    depth:   codes at a place.
    codes:   K.
    width:   of a place in all layers.
    heads:   that share the width between them.
    context: an example of what the codes are conditioned on, () for nothing.

    Raises ValueError for sizes that are not positive integers, and heads that do not divide the width.
    """
    grid = checked_sizes("causal_transformer", "grid", grid, at_least=1)
    width, layers, heads = checked_sizes("causal_transformer", "width, layers and heads", (width, layers, heads))
    require(width % heads == 0, f"causal_transformer got {heads} heads for a width of {width}; wanted a divisor of it.")
    return over_grid(attention(math.prod(grid), width, layers, heads), grid, depth, codes, width, context)


def causal_convolution(
    grid: Sequence[int], depth: int, codes: int, width: int = 64, layers: int = 4, kernel: int = 5, context: PyTree = ()
) -> CodeNetwork:
    """Residual convolutions that see the rows above and what is left of them. (van den Oord et al. 2016, section 3.4.)

    grid:   (height, width) of the grid of codes.
    kernel: the side of the window, odd. Its later half is not masked but left out.

    The other arguments are those of `causal_transformer`. A window that is narrower than the grid leaves a blind spot, places
    above and to the right that no number of layers reaches; a kernel of 2 width - 1 has none.

    Raises ValueError for sizes that are not positive integers, and a kernel that is even.
    """
    grid = checked_sizes("causal_convolution", "grid", grid, at_least=2)
    require(len(grid) == 2, f"causal_convolution got a grid {grid}; wanted (height, width): use causal_transformer.")
    width, layers, kernel = checked_sizes("causal_convolution", "width, layers and kernel", (width, layers, kernel))
    require(kernel % 2 == 1, f"causal_convolution got a kernel of {kernel}; wanted an odd number.")
    return over_grid(convolutions((grid[0], grid[1]), width, layers, kernel), grid, depth, codes, width, context)


# From a trunk to codes


def over_grid(trunk: Trunk, grid: tuple[int, ...], depth: int, codes: int, width: int, context: PyTree) -> CodeNetwork:
    """The network of a trunk: what place i sees is the sum of the embedded codes of place i - 1, its own position, the context.

    h_i = trunk(u_0 ... u_i),   u_i = sum_d E_d[k_(i-1)d] + p_i + C c
    logits of k_id = W_d norm( h_i + sum_(j < d) E_j[k_ij] ) + b_d
    """
    places = math.prod(grid)
    conditioned = bool(jax.tree.leaves(context))
    init = partial(grid_init, trunk, places, depth, codes, width, context)

    def everywhere(params: PyTree, context: PyTree) -> Float[Array, "places width"]:
        own = params["position"]
        return own + (flatten(context) @ params["context"])[None] if conditioned else own

    def logits(params: PyTree, value: Array, context: PyTree) -> Array:
        index = value.reshape(places, depth).astype(jnp.int32)
        embedded = jax.vmap(lambda table, k: table[k], in_axes=(0, 1), out_axes=1)(params["embedding"], index)
        before = jnp.concatenate([jnp.zeros((1, width)), jnp.sum(embedded[:-1], axis=1)])
        hidden = trunk.whole(params["trunk"], before + everywhere(params, context))
        within = jnp.cumsum(jnp.pad(embedded[:, :-1], ((0, 0), (1, 0), (0, 0))), axis=1)
        found = jnp.einsum("pdw,dwk->pdk", norm(params["norm"], hidden[:, None] + within), params["head"]["kernel"])
        return (found + params["head"]["bias"][None]).reshape(*grid, depth, codes)

    def of_place(params: PyTree, hidden: Array, key: Key, temperature: Any) -> tuple[Array, Array]:
        """The codes of one place, drawn one after the other, and the sum of their embeddings."""
        drawn: list[Array] = []
        seen = jnp.zeros(width)
        for d, own in enumerate(jax.random.split(key, depth)):
            features = norm(params["norm"], hidden + seen)
            scores = features @ params["head"]["kernel"][d] + params["head"]["bias"][d]
            drawn.append(jax.random.categorical(own, at_temperature(scores, temperature)).astype(jnp.int32))
            seen = seen + params["embedding"][d, drawn[-1]]
        return jnp.stack(drawn), seen

    def sample(params: PyTree, key: Key, context: PyTree, temperature: Any = 1.0) -> Array:
        own = everywhere(params, context)

        def one(carry: tuple, inputs: tuple) -> tuple:
            cache, before = carry
            place, own, key = inputs
            hidden, cache = trunk.step(params["trunk"], cache, place, before + own)
            drawn, seen = of_place(params, hidden, key, temperature)
            return (cache, seen), drawn

        inputs = jnp.arange(places), own, jax.random.split(key, places)
        drawn: Array = jax.lax.scan(one, (trunk.start(params["trunk"]), jnp.zeros(width)), inputs)[1]
        return drawn.reshape(*grid, depth)

    return CodeNetwork((*grid, depth), codes, init, logits, sample)


# Trunks


def grid_init(trunk: Trunk, places: int, depth: int, codes: int, width: int, context: PyTree, key: Key) -> PyTree:
    """Parameters of `over_grid`: E, p, those of the trunk and of its norm, W and b, C."""
    keys = jax.random.split(key, 5)
    conditioned = bool(jax.tree.leaves(context))
    context_dim = jax.eval_shape(flatten, context).size if conditioned else 0
    return {
        "embedding": 0.1 * jax.random.normal(keys[0], (depth, codes, width)),
        "position": 0.1 * jax.random.normal(keys[1], (places, width)),
        "trunk": trunk.init(keys[2]),
        "norm": norm_init(width),
        "head": {"kernel": glorot_uniform(0.1)(keys[3], (depth, width, codes)), "bias": jnp.zeros((depth, codes))},
        "context": glorot_uniform()(keys[4], (context_dim, width)) if conditioned else (),
    }


def attention_layer_init(key: Key, width: int) -> PyTree:
    """Parameters of one layer: of what attends, and of what is computed at each place."""
    keys = jax.random.split(key, 4)
    return {
        "attend": {
            "norm": norm_init(width),
            "in": dense_init(keys[0], width, 3 * width),
            "out": dense_init(keys[1], width, width),
        },
        "think": {
            "norm": norm_init(width),
            "in": dense_init(keys[2], width, 4 * width),
            "out": dense_init(keys[3], 4 * width, width),
        },
    }


def attention(places: int, width: int, layers: int, heads: int) -> Trunk:
    """Layers of self-attention over the places up to one's own, and of a perceptron at each place."""
    size = width // heads

    def init(key: Key) -> PyTree:
        return tuple(attention_layer_init(own, width) for own in jax.random.split(key, layers))

    def queries_keys_values(params: PyTree, x: Array) -> tuple[Array, Array, Array]:
        """Three arrays (*places, heads, size)."""
        found = dense(params["in"], norm(params["norm"], x)).reshape(*x.shape[:-1], 3, heads, size)
        return found[..., 0, :, :], found[..., 1, :, :], found[..., 2, :, :]

    def attended(params: PyTree, query: Array, key: Array, value: Array, there: Array) -> Array:
        """query: (n, heads, size) over key, value: (m, heads, size), where there: (n, m)."""
        scores = jnp.einsum("nhs,mhs->hnm", query, key) / jnp.sqrt(size)
        weights = jax.nn.softmax(jnp.where(there[None], scores, FAR))
        return dense(params["out"], jnp.einsum("hnm,mhs->nhs", weights, value).reshape(-1, width))

    def thought(params: PyTree, x: Array) -> Array:
        return x + dense(params["out"], jax.nn.gelu(dense(params["in"], norm(params["norm"], x))))

    def whole(params: PyTree, x: Array) -> Array:
        there = jnp.tril(jnp.ones((places, places), bool))
        for layer in params:
            x = x + attended(layer["attend"], *queries_keys_values(layer["attend"], x), there)
            x = thought(layer["think"], x)
        return x

    def start(params: PyTree) -> PyTree:
        empty = jnp.zeros((places, heads, size))
        return tuple((empty, empty) for _ in params)

    def step(params: PyTree, cache: PyTree, place: Any, x: Array) -> tuple[Array, PyTree]:
        x, there, kept = x[None], (jnp.arange(places) <= place)[None], []
        for layer, (keys, values) in zip(params, cache, strict=True):
            query, key, value = queries_keys_values(layer["attend"], x)
            keys, values = keys.at[place].set(key[0]), values.at[place].set(value[0])
            x = thought(layer["think"], x + attended(layer["attend"], query, keys, values, there))
            kept.append((keys, values))
        return x[0], tuple(kept)

    return Trunk(init, whole, start, step)


def convolutions(grid: tuple[int, int], width: int, layers: int, kernel: int) -> Trunk:
    """Residual layers x + gelu(W [norm x at the window's places]) over the rows above and the places up to one's own.

    A window is laid side by side and multiplied at once: as one product for all places, as one row of it for a single one.
    """
    (height, breadth), reach = grid, kernel // 2
    window = [(row, column) for row in range(-reach, 1) for column in range(-reach, reach + 1) if row < 0 or column <= 0]

    def init(key: Key) -> PyTree:
        keys = jax.random.split(key, (layers, 2))
        return tuple(
            {
                "norm": norm_init(width),
                "in": dense_init(own[0], len(window) * width, width),
                "out": dense_init(own[1], width, width),
            }
            for own in keys
        )

    def padded(maps: Array) -> Array:
        return jnp.pad(maps, ((reach, 0), (reach, reach), (0, 0)))

    def changed(params: PyTree, x: Array, seen: Array) -> Array:
        return x + dense(params["out"], jax.nn.gelu(dense(params["in"], seen)))

    def whole(params: PyTree, x: Array) -> Array:
        for layer in params:
            maps = padded(norm(layer["norm"], x).reshape(height, breadth, width))
            shifts = [maps[reach + r : reach + r + height, reach + c : reach + c + breadth] for r, c in window]
            x = changed(layer, x, jnp.concatenate(shifts, axis=-1).reshape(height * breadth, -1))
        return x

    def start(params: PyTree) -> PyTree:
        return tuple(padded(jnp.zeros((height, breadth, width))) for _ in params)

    def step(params: PyTree, cache: PyTree, place: Any, x: Array) -> tuple[Array, PyTree]:
        row, column, kept = place // breadth, place % breadth, []
        for layer, maps in zip(params, cache, strict=True):
            maps = maps.at[reach + row, reach + column].set(norm(layer["norm"], x))
            block = jax.lax.dynamic_slice(maps, (row, column, 0), (reach + 1, kernel, width))
            x = changed(layer, x, jnp.concatenate([block[reach + r, reach + c] for r, c in window]))
            kept.append(maps)
        return x, tuple(kept)

    return Trunk(init, whole, start, step)


# Layers


def dense_init(key: Key, inputs: int, outputs: int) -> PyTree:
    """Glorot's uniform weights, zero bias."""
    return {"kernel": glorot_uniform()(key, (inputs, outputs)), "bias": jnp.zeros(outputs)}


def dense(params: PyTree, x: Float[Array, "*places inputs"]) -> Float[Array, "*places outputs"]:
    """x W + b."""
    found = x @ params["kernel"]
    return found + jnp.broadcast_to(params["bias"], found.shape)


def norm_init(width: int) -> PyTree:
    """A scale of 1 and a shift of 0."""
    return {"scale": jnp.ones(width), "shift": jnp.zeros(width)}


def norm(params: PyTree, x: Float[Array, "*places width"], epsilon: float = 1e-5) -> Float[Array, "*places width"]:
    """The last axis to mean 0 and variance 1, then scaled and shifted. (Ba et al. 2016, equation 3.)"""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    unit = centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + epsilon)
    return unit * jnp.broadcast_to(params["scale"], x.shape) + jnp.broadcast_to(params["shift"], x.shape)
