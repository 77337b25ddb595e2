"""Mixtures of distributions of one family, the VampPrior among them."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vae.distributions.base import Distribution, distribution, is_density, of_base, shape_of, space_of


@distribution
class Mixture:
    """A mixture of K components of the same family, of whatever family.

        log p(z) = ln sum_k w_k p_k(z),    w = softmax(logits)

    logits:     unnormalised log weights, (K,).
    components: a distribution whose leaves carry a leading axis of size K, made by `jax.vmap(family)(...)`:

        components = jax.vmap(Normal)(means, log_stds)              # (K, n) each

    As a prior with learned components the parameters are part of the model's generative ones:

        def init(key):
            means = jax.random.normal(key, (K, n))
            return {"logits": jnp.zeros(K), "mean": means, "log_std": jnp.zeros((K, n))}

        def build(params, context, encode):
            return Mixture(params["logits"], jax.vmap(Normal)(params["mean"], params["log_std"]))

        prior = Prior(init, build)

    `log_prob` is differentiable in every parameter. A draw is differentiable in the parameters of the component it came from,
    not in the logits, which choose the component: training needs only `log_prob` of a prior, and draws only to generate.
    There is no closed form of the entropy or of a KL divergence: use `rates=log_ratio` or `monte_carlo_kl`.
    Raises ValueError where the number of components and of logits disagree.
    """

    logits: Float[Array, "K"]
    components: Distribution

    reparameterised: ClassVar[bool] = False  # the choice of a component passes no gradient to the logits
    data_space = of_base(space_of, "components")
    is_density = of_base(is_density, "components")

    def __post_init__(self):
        logits, leaves = shape_of(self.logits), [shape_of(leaf) for leaf in jax.tree.leaves(self.components)]
        if len(logits) != 1 or not leaves or any(leaf[:1] != logits for leaf in leaves):
            raise ValueError(
                f"Mixture got logits {logits} and components with leaves {leaves}, wanted (K,) and a leading axis of size K on "
                "every leaf: build the components with jax.vmap."
            )

    @property
    def weights(self) -> Float[Array, "K"]:
        """softmax(logits)."""
        return jax.nn.softmax(self.logits)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """sum_k w_k mean_k."""
        return self._average(self._of_components("mean"))

    @property
    def variance(self) -> Float[Array, "*event"]:
        """sum_k w_k [ variance_k + (mean_k - mean)^2 ], for each entry of the event."""
        means = self._of_components("mean")
        return self._average(self._of_components("variance") + jnp.square(means - self._average(means)[None]))

    def sample(self, key: Array) -> PyTree:
        """Choose a component, then draw from it."""
        choice_key, value_key = jax.random.split(key)
        choice = jax.random.categorical(choice_key, self.logits)
        return jax.tree.map(lambda leaf: leaf[choice], self.components).sample(value_key)

    def sample_and_log_prob(self, key: Array) -> tuple[PyTree, Float[Array, ""]]:
        """The draw and its log density under the whole mixture."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: PyTree) -> Float[Array, ""]:
        """Log density in nats."""
        log_probs = jax.vmap(lambda component: component.log_prob(value))(self.components)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + log_probs)

    def _of_components(self, name: str) -> Float[Array, "K *event"]:
        return jax.vmap(lambda component: getattr(component, name))(self.components)

    def _average(self, values: Float[Array, "K *event"]) -> Float[Array, "*event"]:
        return jnp.tensordot(self.weights, values, axes=1, precision="highest")


def vamp_prior(encode: Callable[[PyTree], Distribution], pseudo_inputs: PyTree, logits: Array | None = None) -> Mixture:
    """The variational mixture of posteriors p(z) = sum_k w_k q(z | u_k).

    encode:        one input -> q(z | input), the model's own encoder.
    pseudo_inputs: u, learned with the generative parameters; a leading axis of size K.
    logits:        unnormalised log weights, (K,); uniform where None, as in the paper.

    As a prior, with the encoder that the model hands to `build`:

        prior = Prior(init, build=lambda params, context, encode: vamp_prior(encode, params["pseudo_inputs"]))

    The K inputs are encoded here, once. Neither they nor the encoder's parameters carry a batch axis, so inside the `vmap` over
    examples, importance samples or both they are still encoded once per step. (Tomczak & Welling 2018, equation 9.)
    """
    components = jax.vmap(encode)(pseudo_inputs)
    count = jax.tree.leaves(pseudo_inputs)[0].shape[0]
    return Mixture(logits=jnp.zeros(count) if logits is None else logits, components=components)
