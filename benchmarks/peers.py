"""Against whom: each peer is one entry, with what it needs and which presets it can do."""

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks.presets import Preset
from benchmarks.trainer import Problem, Trainer


class Peer(NamedTuple):
    """A contestant that is not us.

    builder: "module:function" in this package, imported only when it is run.
    does:    whether it can do a preset.
    package: what has to be installed, "" for nothing.
    note:    what the table says of it.
    """

    builder: str
    does: Callable[[Preset], bool]
    package: str = ""
    note: str = ""

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return not self.package or find_spec(self.package) is not None

    def build(self, problem: Problem) -> Trainer:
        """The peer, ready to train."""
        module, function = self.builder.split(":")
        return getattr(importlib.import_module(f"benchmarks.{module}"), function)(problem)


def trains(preset: Preset) -> bool:
    """A preset that trains, with one latent group."""
    return not preset.images and preset.groups == 1


def plain_dense(preset: Preset) -> bool:
    """The analytic ELBO on fully connected networks."""
    return trains(preset) and not preset.convolutional and not preset.samples


def several_samples(preset: Preset) -> bool:
    """Importance sampling, in training or evaluation."""
    return preset.samples > 1


PEERS: dict[str, Peer] = {
    "torch example": Peer("torch_peers:build_example", plain_dense, "torch", "PyTorch eager, DataLoader over single images"),
    "torch resident": Peer("torch_peers:build_resident", trains, "torch", "PyTorch eager, data in one tensor"),
    "torch compile": Peer("torch_peers:build_compiled", trains, "torch", "torch.compile; CUDA graphs on a GPU"),
    "pythae": Peer("pythae_peer:build", plain_dense, "pythae", "its trainer; gray pixels, no binarisation"),
    "flax example": Peer("flax_peer:build", plain_dense, note="the Flax example, jitted, one call per batch"),
    "numpy": Peer("numpy_peer:build", plain_dense, note="gradients derived by hand"),
    "plain vmap": Peer("vmap_peer:build", several_samples, note="JAX: all samples of an image at once, softplus"),
}
"""By name."""
