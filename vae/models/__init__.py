"""Models, each a short composition of networks, distributions and a prior.

One latent group
    latent.py            an encoder, a posterior, a prior, a decoder: `variational_autoencoder`
    quantised.py         a grid of codes in its place
    sparse_decoder.py    a decoder whose features each hang on few latents
    second_stage.py      any model with another law of its codes

Several groups
    chains.py            from x upwards, each group from the one below
    hierarchy.py         from the top down: ladders, residual maps
    modalities.py        groups of which several parts of an example tell

Around any model
    labelling.py         a class as its first group
    missing.py           values that are not there
    standardisation.py   data in units of their own
    hamiltonian.py       a posterior that is moved along its target

By plain numbers and names, as a configuration file holds them
    presets.py, context_presets.py, deep_presets.py, code_presets.py
    choices.py, code_choices.py     what the names stand for
    seen.py, views.py               units, views and masks, the same for all of them

Parts of these
    group.py             one latent group of a trace
    conditionals.py      a distribution given something: a network and its family
"""

from vae.models.chains import Link as Link
from vae.models.chains import bottom_up_chain as bottom_up_chain
from vae.models.code_presets import gumbel as gumbel
from vae.models.code_presets import vector_quantised as vector_quantised
from vae.models.conditionals import Conditional as Conditional
from vae.models.context_presets import conditional as conditional
from vae.models.context_presets import regression as regression
from vae.models.context_presets import without_latents as without_latents
from vae.models.deep_presets import bottom_up as bottom_up
from vae.models.deep_presets import ladder as ladder
from vae.models.deep_presets import top_down as top_down
from vae.models.group import classes_of as classes_of
from vae.models.group import given as given
from vae.models.group import latent_group as latent_group
from vae.models.hamiltonian import hamiltonian_mlp as hamiltonian_mlp
from vae.models.hamiltonian import hamiltonian_posterior as hamiltonian_posterior
from vae.models.hierarchy import TopDownGroup as TopDownGroup
from vae.models.hierarchy import precision_weighted as precision_weighted
from vae.models.hierarchy import top_down_hierarchy as top_down_hierarchy
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
from vae.models.quantised import quantised_autoencoder as quantised_autoencoder
from vae.models.quantised import with_settled_codes as with_settled_codes
from vae.models.second_stage import Generated as Generated
from vae.models.second_stage import with_prior as with_prior
from vae.models.seen import Seen as Seen
from vae.models.seen import for_data as for_data
from vae.models.sparse_decoder import sparse_mlp as sparse_mlp
from vae.models.standardisation import standardised as standardised
