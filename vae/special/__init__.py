"""Functions that JAX lacks or has only to the accuracy of a textbook formula: elementwise, in float32, in logs.

`elementary` and `gamma` hold what the families and divergences are written with, to be imported from there.
"""

from vae.special.bessel import mean_resultant_difference as mean_resultant_difference
from vae.special.bessel import mean_resultant_length as mean_resultant_length
from vae.special.bessel import mean_resultant_shortfall as mean_resultant_shortfall
from vae.special.bessel import resultant_variance as resultant_variance
from vae.special.bessel import von_mises_fisher_bregman as von_mises_fisher_bregman
from vae.special.bessel import von_mises_fisher_information as von_mises_fisher_information
from vae.special.elementary import smooth_bound as smooth_bound
from vae.special.power_spherical import power_spherical_information as power_spherical_information
from vae.special.power_spherical import power_spherical_mean_log as power_spherical_mean_log
from vae.special.quadrature import gauss_legendre as gauss_legendre
