"""A decoder in which every feature hangs on few latent dimensions, by a learned mask with a sparse prior."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.models.choices import ACTIVATIONS, lookup
from vae.models.latent import variational_autoencoder
from vae.models.seen import Seen, for_data
from vae.networks import glorot_uniform
from vae.networks import mlp as mlp_network
from vae.posteriors import normal
from vae.priors import normal as normal_prior
from vae.requirements import require
from vae.settings import Settings
from vae.spec import Data
from vae.trained import Trained
from vae.types import Family, Key, Model, Network, Params, PyTree, Trace


def masked_decoder(hidden: Sequence[int], family: Family, features: int, activation: Callable, bias) -> Network:
    """A decoder that sees the latents of every feature through weights of that feature's own.

        h_j = network(w_j * z),    output_j = v_j h_j + b_j,    j = 1 ... features

    with one network for all features, so that output_j changes with z_k only where w_jk is not 0. It takes `features` times the
    products of a plain network. Parameters: "mask" W (features, latent), "shared", "readout" V (features, numbers, width) and
    "bias" b (numbers, features), where the family reads so many numbers for each feature, those of one kind side by side.

    Raises ValueError for a family that reads no such outputs. (Moran et al. 2022.)
    """
    (outputs,) = family.outputs
    require(outputs % features == 0, f"a family reads {outputs} numbers of {features} features; wanted a multiple of them.")
    numbers, width = outputs // features, hidden[-1]
    network = mlp_network(tuple(hidden[:-1]), (width,), activation=activation)

    def init(key: Key, *inputs: PyTree) -> tuple[PyTree, PyTree]:
        z, context = inputs
        mask_key, shared_key, readout_key = jax.random.split(key, 3)
        shared, state = network.init(shared_key, z, context)
        params = {
            "mask": jax.random.normal(mask_key, (features, *z.shape)),
            "shared": shared,
            "readout": jax.vmap(lambda key: glorot_uniform()(key, (numbers, width)))(jax.random.split(readout_key, features)),
            "bias": jnp.broadcast_to(jnp.asarray(bias, jnp.float32), (outputs,)).reshape(numbers, features),
        }
        return params, state

    def apply(
        params: PyTree, state: PyTree, *inputs: PyTree, training: bool = False, key: Key | None = None
    ) -> tuple[PyTree, PyTree]:
        z, context = inputs

        def feature(weights, readout):
            return readout @ activation(network.apply(params["shared"], state, weights * z, context)[0])

        found = jax.vmap(feature)(params["mask"], params["readout"]).T + params["bias"]
        return found.reshape(-1), state

    return Network(init=init, apply=apply)


def log_spike_and_slab_lasso(
    weights: Float[Array, "features latent"], inclusion: Float[Array, "latent"], spike, slab
) -> Float[Array, ""]:
    """log p(W, e) of the spike-and-slab lasso, up to a constant, in nats, with e_k = sigmoid(inclusion_k):

        sum_jk log [ e_k slab/2 exp(-slab |w_jk|) + (1 - e_k) spike/2 exp(-spike |w_jk|) ] + sum_k (features - 1) log(1 - e_k)

    the second part being a Beta(1, features) prior of the share of features that a latent dimension enters. Which of the two a
    weight belongs to is summed out, and the gradient is that of an EM step. (Rockova & George 2018; Moran et al. 2022.)
    """
    size, inclusion = jnp.abs(weights), inclusion[None]
    in_slab = jax.nn.log_sigmoid(inclusion) + jnp.log(slab / 2) - slab * size
    in_spike = jax.nn.log_sigmoid(-inclusion) + jnp.log(spike / 2) - spike * size
    of_shares = (weights.shape[0] - 1) * jax.nn.log_sigmoid(-inclusion)
    return jnp.sum(jnp.logaddexp(in_slab, in_spike)) + jnp.sum(of_shares)


def with_sparse_mask(model: Model, latent_dim: int, examples: int, spike: float = 20.0, slab: float = 1.0) -> Model:
    """A model of a `masked_decoder` whose loss holds -log p(W, e) / N of the spike-and-slab lasso, as the penalty of a trace.

    examples:    N, of the training set: the prior is paid once for all of them.
    spike, slab: rates of the two Laplace densities, spike above slab > 0; the setting "spike", where given, is what is used, so
                 that it can rise in training.
    Raises ValueError for others.
    """
    require(0 < slab < spike, f"spike is {spike} and slab {slab}; wanted a positive slab below the spike.")
    require(examples >= 1, f"examples is {examples}; wanted how many the training set has.")

    def init(key: Key) -> tuple[Params, PyTree]:
        params, state = model.init(key)
        return params | {"generative": params["generative"] | {"inclusion": jnp.zeros(latent_dim)}}, state

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        draw_within = model.infer(params, state, x, context, settings)
        own = params["generative"]
        rate = settings.get("spike", spike)
        penalty = -log_spike_and_slab_lasso(own["decoder"]["mask"], own["inclusion"], rate, slab) / examples

        def draw(key: Key, values: tuple = ()) -> Trace:
            trace = draw_within(key, values)
            return trace._replace(penalty=trace.penalty + penalty)

        return draw

    return model._replace(init=init, infer=infer)


def mask_of(trained: Trained, share: float = 0.2) -> Array:
    """Which latent dimensions each feature hangs on: |w_jk| over a share of the feature's largest, (features, latent)."""
    size = jnp.abs(trained.params["generative"]["decoder"]["mask"])
    return size > share * jnp.max(size, axis=1, keepdims=True)


def sparse_mlp(
    data: Data,
    examples: int,
    latent_dim: int = 5,
    hidden: Sequence[int] = (50, 50),
    activation: str = "relu",
    likelihood: str | None = None,
    spike: float | None = 20.0,
    slab: float = 1.0,
    std: float | None = None,
) -> Model:
    """The sparse VAE: a plain encoder, a `masked_decoder` and the spike-and-slab lasso on its mask. (Moran et al. 2022.)

    data:     examples of shape (features,).
    examples: of the training set.
    spike:    None for a mask without a prior.
    """
    require(len(data.shape) == 1, f"sparse_mlp got examples of shape {data.shape}; wanted vectors of features.")
    act = lookup("activation", ACTIVATIONS, activation)

    def compose(seen: Seen) -> Model:
        posterior = normal(latent_dim)
        model = variational_autoencoder(
            encoder=seen.encoder(mlp_network(tuple(hidden), posterior.outputs, activation=act)),
            decoder=seen.decoder(masked_decoder(tuple(hidden), seen.likelihood, data.shape[0], act, seen.output_bias)),
            posterior=posterior,
            prior=normal_prior(latent_dim),
            likelihood=seen.likelihood,
            data=seen.data,
        )
        return model if spike is None else with_sparse_mask(model, latent_dim, examples, spike, slab)

    return for_data(data, compose, likelihood, std)
