"""Models, each a short composition of networks, distributions and a prior."""

from vae.models.conditioning import conditional as conditional
from vae.models.conditioning import regression as regression
from vae.models.conditioning import without_latents as without_latents
from vae.models.group import given as given
from vae.models.group import latent_group as latent_group
from vae.models.labelling import labelled as labelled
from vae.models.labelling import semi_supervised as semi_supervised
from vae.models.labelling import with_label as with_label
from vae.models.latent import variational_autoencoder as variational_autoencoder
from vae.models.missing import all_observed as all_observed
from vae.models.missing import with_missing as with_missing
from vae.models.modalities import Informed as Informed
from vae.models.modalities import Source as Source
from vae.models.modalities import captioned as captioned
from vae.models.modalities import informed as informed
from vae.models.presets import convolutional as convolutional
from vae.models.presets import mlp as mlp
from vae.models.seen import Seen as Seen
from vae.models.seen import for_data as for_data
from vae.models.standardisation import standardised as standardised
