"""Models, each a short composition of networks, distributions and a prior."""

from vae.models.group import classes_of as classes_of
from vae.models.group import given as given
from vae.models.group import latent_group as latent_group
from vae.models.latent import variational_autoencoder as variational_autoencoder
from vae.models.missing import all_observed as all_observed
from vae.models.missing import with_missing as with_missing
from vae.models.presets import convolutional as convolutional
from vae.models.presets import mlp as mlp
from vae.models.seen import Seen as Seen
from vae.models.seen import for_data as for_data
from vae.models.standardisation import standardised as standardised
