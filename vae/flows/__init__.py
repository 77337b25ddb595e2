"""Normalising flows: invertible maps with their log-determinants, as pure functions of one example."""

from vae.flows.autoregressive import affine_coupling as affine_coupling
from vae.flows.autoregressive import inverse_autoregressive as inverse_autoregressive
from vae.flows.autoregressive import masked_autoregressive as masked_autoregressive
from vae.flows.base import Flow as Flow
from vae.flows.base import chain as chain
from vae.flows.base import invert as invert
from vae.flows.base import permute as permute
from vae.flows.base import reverse as reverse
from vae.flows.planar_flow import planar as planar
