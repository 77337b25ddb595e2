"""Models, each a short composition of networks, distributions and a prior."""

from vae.models.group import given as given
from vae.models.group import latent_group as latent_group
from vae.models.latent import variational_autoencoder as variational_autoencoder
from vae.models.presets import convolutional as convolutional
from vae.models.presets import mlp as mlp
