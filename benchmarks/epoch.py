"""One epoch as a whole process, from its launch to its end: `python -m benchmarks.epoch CONTESTANT IMAGES CACHE`.

Imports, compilation and moving the data count. The process of a contestant imports nothing of the others.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.start import REPOSITORY, use_cache
from benchmarks.timing import interleave
from benchmarks.trainer import Problem, Trainer

BATCH_SIZE, HIDDEN, LATENT_DIM = 128, 400, 20
CONTESTANTS = {"vae, no cache": "vae", "vae, warm cache": "vae", "torch resident": "torch"}


def measure_epochs(images: np.ndarray, rounds: int) -> dict[str, float]:
    """Seconds of the fastest process of each contestant that is installed; one with a cache has run before."""
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "images.npy"
        np.save(stored, images)

        def run(name: str) -> Callable[[int], None]:
            def processes(number: int) -> None:
                for _ in range(number):
                    cache = folder if name.endswith("warm cache") else tempfile.mkdtemp(dir=folder)
                    launch(CONTESTANTS[name], stored, cache)

            return processes

        runs = {name: run(name) for name, package in CONTESTANTS.items() if find_spec(package)}
        runs["vae, warm cache"](1)
        times = interleave(runs, dict.fromkeys(runs, 1), rounds)
        return {name: measured.fastest for name, measured in times.items()}


def launch(contestant: str, images: Path, cache: str) -> None:
    """Run one process to its end."""
    command = [sys.executable, "-m", "benchmarks.epoch", contestant, str(images), cache]
    subprocess.run(command, cwd=REPOSITORY, env=dict(os.environ), check=True, capture_output=True)


def ours(images: np.ndarray, cache: str) -> Trainer:
    """This library on 784-400-20, in chunks that divide an epoch."""
    use_cache(cache)
    from benchmarks import ours
    from benchmarks.presets import PRESETS

    return ours.build(Problem(PRESETS["mlp"]._replace(log_every=len(images) // BATCH_SIZE), images, None))


def theirs(images: np.ndarray, cache: str) -> Trainer:
    """PyTorch eager with the data in one tensor; the preset by what its peers read of it, since `presets` imports JAX."""
    del cache
    from benchmarks import torch_peers

    arguments = {"hidden": (HIDDEN,), "latent_dim": LATENT_DIM}
    preset: Any = SimpleNamespace(
        batch_size=BATCH_SIZE, samples=0, convolutional=False, shape=images.shape[1:], arguments=arguments
    )
    return torch_peers.build_resident(Problem(preset, images, None))


def main(contestant: str, images: str, cache: str) -> None:
    """Train for one epoch."""
    stored = np.load(images)
    {"vae": ours, "torch": theirs}[contestant](stored, cache).run(len(stored) // BATCH_SIZE)


if __name__ == "__main__":
    main(*sys.argv[1:])
