"""A class as the first latent group of any model that is conditioned on it: seen where it is known, summed out where not."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae import priors
from vae.distributions import Categorical, Distribution
from vae.models.choices import ACTIVATIONS, LATENTS, lookup
from vae.models.group import given, latent_group
from vae.models.latent import STORED, state_after_batch
from vae.models.presets import one_group
from vae.models.seen import Seen, for_data
from vae.networks import mlp as mlp_network
from vae.requirements import require
from vae.settings import Settings
from vae.spec import GIVEN, Data, given_of, may_be_missing
from vae.types import PRIOR_ENCODER, Family, Key, Model, Network, Params, Prior, PyTree, Trace


def labelled(model: Model, classifier: Network, classes: int, data: Data, prior: Prior | None = None) -> Model:
    """p(y) p(x, z | y) with q(y | x) q(z | x, y), where p(x, z | y) and q(z | x, y) are those of a model of any structure.

    model:      conditioned on the one-hot class, made for `with_label(data, classes)`: whatever its groups are, they come after
                the class, which its encoder, its decoder and its prior may see.
    classifier: network from (x, context) to `classes` logits of q(y | x).
    data:       the data without the class.
    prior:      p(y | context), a `Categorical` distribution of the classes; all equally likely where None.

    The class is group 0, an int32 of shape (). A batch may give it (`Batch.values`), and `objectives.enumerated(classes)` sums
    it out where it does not; `vae.evaluation.generate.sample_prior` draws examples of the classes in its `values`. With
    `vae.models.mlp` within, it is model M2. (Kingma et al. 2014, section 2.)

    Raises ValueError for fewer than two classes and for a classifier with dropout, which has no key.
    """
    require(classes >= 2, f"labelled got {classes} classes; wanted at least 2.")
    require(not classifier.stochastic, "labelled got a stochastic classifier; wanted one without dropout, since it has no key.")
    of_class = priors.fixed(Categorical(jnp.zeros(classes))) if prior is None else prior
    parts = Parts(model, classifier, classes, of_class)
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    return Model(
        init=partial(initialised, parts, x, data.context),
        infer=partial(inferred, parts),
        prior=partial(drawn_from_prior, parts),
        decode=partial(decoded, parts),
        update=partial(updated, parts),
    )


class Parts(NamedTuple):
    """What the model is composed of; see `labelled`."""

    model: Model
    classifier: Network
    classes: int
    prior: Prior

    def seen(self, context: PyTree, label: Array) -> PyTree:
        """What the model within is conditioned on."""
        return beside(context, jax.nn.one_hot(label, self.classes))


def initialised(parts: Parts, x: PyTree, context: PyTree, key: Key) -> tuple[Params, PyTree]:
    """Parameters and states: those of the class under "label", those of the model within under "model"."""
    model_key, label_key, prior_key = jax.random.split(key, 3)
    params, state = parts.model.init(model_key)
    network, network_state = parts.classifier.init(label_key, x, context)
    own = {"posterior": {"label": network}, "generative": {"label": parts.prior.init(prior_key)}}
    params = {player: {**own[player], "model": params[player]} for player in own}
    return params, {"classifier": network_state, "model": state}


def within(params: Params) -> Params:
    """The parameters of the model within."""
    return {player: own["model"] for player, own in params.items() if player in ("posterior", "generative", PRIOR_ENCODER)}


def prior_of_class(parts: Parts, params: Params, context: PyTree) -> Distribution:
    """p(y | c)."""
    return parts.prior.build(params["generative"]["label"], context, no_encoder)


def inferred(
    parts: Parts, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after the classifier has run once; the encoder within runs for every class drawn."""
    own, training = params["posterior"]["label"], settings.training
    logits, classifier_state = parts.classifier.apply(own, state["classifier"], x, context, training=training)
    q, p = Categorical(logits), prior_of_class(parts, params, context)

    def draw(key: Key, values: tuple = ()) -> Trace:
        label_key, rest_key = jax.random.split(key)
        y = latent_group(q, p, label_key, given(values, 0))
        infer = parts.model.infer(within(params), state["model"], x, parts.seen(context, y.value), settings)
        trace = infer(rest_key, values[1:])
        statistics = {"classifier": classifier_state if training else {}, "model": trace.statistics}
        return trace._replace(latents=(y, *trace.latents), statistics=statistics)

    return draw


def drawn_from_prior(
    parts: Parts, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """A class from p(y | c), or the one given, then the groups within."""
    label_key, rest_key = jax.random.split(key)
    several = isinstance(temperature, Sequence)
    own, rest = (temperature[0], temperature[1:]) if several else (temperature, temperature)
    y = given(values, 0)
    y = priors.sample_prior(prior_of_class(parts, params, context), label_key, own) if y is None else y
    return y, *parts.model.prior(within(params), state["model"], rest_key, parts.seen(context, y), values[1:], rest)


def decoded(parts: Parts, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | y, z, c)."""
    return parts.model.decode(within(params), state["model"], values[1:], parts.seen(context, values[0]))


def updated(parts: Parts, state: PyTree, statistics: PyTree, key: Key) -> PyTree:
    """The carried state of both after a batch."""
    classifier_state = state_after_batch(state["classifier"], statistics["classifier"], key)
    return {"classifier": classifier_state, "model": parts.model.update(state["model"], statistics["model"], key)}


def no_encoder(x: PyTree) -> Distribution:
    """What a prior of classes gets in the place of an encoder."""
    raise TypeError("a prior of classes was made of encoded pseudo-inputs; wanted one of its own parameters and the context.")


def with_label(data: Data, classes: int) -> Data:
    """The data as the model within `labelled` sees them: conditioned on the one-hot class too."""
    return data._replace(context=beside(data.context, jax.ShapeDtypeStruct((classes,), jnp.float32)))


def beside(context: PyTree, label: PyTree) -> PyTree:
    """What is conditioned on, with the class: the class alone where there was nothing, else (context, class)."""
    given = given_of(context)
    both = (given, label) if jax.tree.leaves(given) else label
    return {**context, GIVEN: both} if may_be_missing(context) else both


def semi_supervised(
    data: Data,
    classes: int = 10,
    latent_dim: int = 50,
    hidden: Sequence[int] = (500,),
    activation: str = "relu",
    likelihood: str | None = None,
    latents: str = "normal",
    std: float | None = None,
    classifier_hidden: Sequence[int] | None = None,
) -> Model:
    """`labelled` around a VAE of fully connected networks: M2 of Kingma et al. 2014.

    data:              such as those of `vae.data.semi_supervised_splits`.
    classes:           of the label.
    classifier_hidden: widths of the classifier; those of the encoder where None.

    The other arguments are those of `vae.models.mlp`.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    lookup("latents", LATENTS, latents)

    def networks(posterior: Family, family: Family, bias):
        encoder = mlp_network(tuple(hidden), posterior.outputs, activation=act)
        return encoder, mlp_network(tuple(reversed(hidden)), family.outputs, activation=act, output_bias=bias)

    def compose(seen: Seen) -> Model:
        widths = tuple(hidden if classifier_hidden is None else classifier_hidden)
        within = one_group(latent_dim, latents, networks)(seen._replace(data=with_label(seen.data, classes)))
        return labelled(within, seen.encoder(mlp_network(widths, (classes,), activation=act)), classes, seen.data)

    return for_data(data, compose, likelihood, std)
