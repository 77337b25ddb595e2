"""Models, each a short composition of networks, distributions and a prior."""

from vae.models.chains import Link as Link
from vae.models.chains import bottom_up_chain as bottom_up_chain
from vae.models.conditionals import Conditional as Conditional
from vae.models.conditioning import conditional as conditional
from vae.models.conditioning import regression as regression
from vae.models.conditioning import without_latents as without_latents
from vae.models.group import given as given
from vae.models.group import latent_group as latent_group
from vae.models.hierarchies import bottom_up as bottom_up
from vae.models.hierarchies import ladder as ladder
from vae.models.hierarchies import top_down as top_down
from vae.models.hierarchy import TopDownGroup as TopDownGroup
from vae.models.hierarchy import precision_weighted as precision_weighted
from vae.models.hierarchy import top_down_hierarchy as top_down_hierarchy
from vae.models.labelling import labelled as labelled
from vae.models.labelling import semi_supervised as semi_supervised
from vae.models.labelling import with_label as with_label
from vae.models.latent import variational_autoencoder as variational_autoencoder
from vae.models.missing import all_observed as all_observed
from vae.models.missing import with_missing as with_missing
from vae.models.presets import convolutional as convolutional
from vae.models.presets import mlp as mlp
from vae.models.seen import Seen as Seen
from vae.models.seen import for_data as for_data
from vae.models.standardisation import standardised as standardised
