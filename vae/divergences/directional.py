"""KL rows between distributions of directions. Each is KL(q || p) in nats; angles factorise, so `VonMises` rows are unsummed.

PowerSpherical to PowerSpherical has no row: E[ln(1 + <direction_p, z>)] under another direction has no closed form.
"""

import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.power_spherical import PowerSpherical
from vae.distributions.uniform_sphere import UniformCircle, UniformSphere
from vae.distributions.von_mises import VonMises
from vae.distributions.von_mises_fisher import VonMisesFisher
from vae.requirements import require_same_shape
from vae.special import (
    mean_resultant_length,
    power_spherical_information,
    von_mises_fisher_bregman,
    von_mises_fisher_information,
)


def von_mises_fisher_von_mises_fisher(q: VonMisesFisher, p: VonMisesFisher) -> Array:
    """With L = ln 0F1(; m/2; kappa^2/4), A = L' and the chord d = direction_q - direction_p:

        L(kappa_p) - L(kappa_q) - (kappa_p - kappa_q) A(kappa_q)  +  kappa_p A(kappa_q) |d|^2 / 2

    a Bregman divergence of the concentrations and a distance of the directions, neither negative. Gathered, it is
    kappa_q A - kappa_p A <direction_q, direction_p> + L(kappa_p) - L(kappa_q) (Diethe 2015).
    """
    require_same_dim(q.dim, p.dim)
    apart = 0.5 * jnp.sum(jnp.square(q.direction - p.direction))
    turn = p.concentration * mean_resultant_length(q.dim, q.concentration) * apart
    return von_mises_fisher_bregman(q.dim, q.concentration, p.concentration) + turn


def von_mises_fisher_uniform_sphere(q: VonMisesFisher, p: UniformSphere) -> Array:
    """kappa A - ln 0F1(; m/2; kappa^2/4), A = I_{m/2}(kappa) / I_{m/2-1}(kappa). (Davidson et al. 2018.)"""
    require_same_dim(q.dim, p.dim)
    return von_mises_fisher_information(q.dim, q.concentration)


def power_spherical_uniform_sphere(q: PowerSpherical, p: UniformSphere) -> Array:
    """With b = (m - 1)/2 and B the beta function (De Cao & Aziz 2020):

    ln B(b, b) - ln B(b, b + kappa) + kappa [digamma(b + kappa) - digamma(2b + kappa)]
    """
    require_same_dim(q.dim, p.dim)
    return power_spherical_information(q.dim, q.concentration)


def von_mises_von_mises(q: VonMises, p: VonMises) -> Array:
    """Per angle, with A = I_1/I_0: ln I_0(kappa_p) - ln I_0(kappa_q) + A(kappa_q) [kappa_q - kappa_p cos(angle_q - angle_p)].

    It is the row of von Mises-Fisher at m = 2, where half the squared chord is 2 sin^2((angle_q - angle_p)/2).
    (Mardia & Jupp 2000, section 3.5.4.)
    """
    require_same_shape("KL", q=q.angle, p=p.angle)
    apart = 2.0 * jnp.square(jnp.sin(0.5 * (q.angle - p.angle)))
    turn = p.concentration * mean_resultant_length(2, q.concentration) * apart
    return von_mises_fisher_bregman(2, q.concentration, p.concentration) + turn


def von_mises_uniform_circle(q: VonMises, p: UniformCircle) -> Array:
    """Per angle: kappa A(kappa) - ln I_0(kappa), A = I_1/I_0. (Mardia & Jupp 2000, section 3.5.4.)"""
    require_same_angles(q, p)
    return von_mises_fisher_information(2, q.concentration)


def require_same_angles(q: VonMises, p: UniformCircle) -> None:
    """Refuse another number of angles."""
    if jnp.shape(q.concentration) != p.shape:
        raise ValueError(
            f"a divergence got a VonMises of shape {jnp.shape(q.concentration)} and a UniformCircle of shape {p.shape}; "
            "wanted the same angles: change the shape of one."
        )


def require_same_dim(first: int, second: int) -> None:
    """Refuse spheres of different dimension."""
    if first != second:
        raise ValueError(
            f"a divergence got spheres of ambient dimension {first} and {second}; wanted the same sphere: change one of them."
        )
