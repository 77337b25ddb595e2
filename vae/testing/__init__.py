"""Our oracles, for a user's own code: a family, a divergence of one's own can be held to what the library's are held to.

Each raises AssertionError with one sentence: what was checked, what was got, what was wanted, by how much it is off.
"""

from vae.testing.distribution import check_distribution as check_distribution
from vae.testing.divergence import check_kl as check_kl
from vae.testing.linear_gaussian_model import linear_gaussian as linear_gaussian
from vae.testing.linear_gaussian_model import linear_gaussian_data as linear_gaussian_data
from vae.testing.linear_gaussian_model import linear_gaussian_evidence as linear_gaussian_evidence
from vae.testing.model import check_model as check_model
from vae.testing.objective import check_objective as check_objective
