"""A prior that may be scored only at the sample."""

from jaxtyping import Array, Float, PyTree

from vae.distributions.base import Distribution, distribution, is_density, is_reparameterised, of_base, space_of


@distribution
class AtSample:
    """`base`, without a row in the KL table: its divergence from a posterior is the log ratio at the sampled value.

    base: p(z | parents), where the parents were sampled after this group in q.

    In a bottom-up hierarchy q(z1 | x) q(z2 | z1) with p(z2) p(z1 | z2), the prior of z1 is known only once z2 is drawn, and z2
    depends on the drawn z1. The rate of z1 is then E_q[log q(z1 | x) - log p(z1 | z2)] with z1 and z2 dependent under q; the
    closed form KL(q(z1 | x) || p(z1 | z2)) at the drawn z2 averages over a fresh z1, as if they were independent, and what
    it leaves is no bound on the evidence.
    """

    base: Distribution

    data_space = of_base(space_of)
    reparameterised = of_base(is_reparameterised)
    is_density = of_base(is_density)

    def sample(self, key: Array) -> PyTree:
        """Draw from `base`."""
        return self.base.sample(key)

    def sample_and_log_prob(self, key: Array) -> tuple[PyTree, Float[Array, ""]]:
        """Draw from `base` with its log density."""
        return self.base.sample_and_log_prob(key)

    def log_prob(self, value: PyTree) -> Float[Array, ""]:
        """Log density under `base`, in nats."""
        return self.base.log_prob(value)
