"""Where the time of a step goes, operation by operation: `python -m benchmarks.profile PRESET`.

From JAX's own profiler on a CPU: operations are those of the compiled program, and matrix products are told by their names.
"""

import collections
import gzip
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import ours
from benchmarks.presets import PRESETS, Preset

IMAGES = 2_000
STEPS = 100
PRODUCTS = ("dot", "ynn_fusion", "custom-call", "gemm")
CONTAINERS = ("while", "call", "cond", "jit_", "tuple", "Thunk", "$", "Pjit", "end:")
SHOWN = 14


class Profile(NamedTuple):
    """Microseconds of a step: of every operation, the largest first, and of the matrix products among them."""

    operations: dict[str, float]
    products: float

    @property
    def total(self) -> float:
        """Of all operations; those that run beside each other are added up."""
        return sum(self.operations.values())


def profile(preset: Preset, images: np.ndarray, steps: int = STEPS) -> Profile:
    """Take some steps under the profiler, after one chunk that compiles."""
    trainer = ours.build(ours.problem_of(preset, images))
    trainer.run(trainer.multiple)
    steps = max(steps // trainer.multiple, 1) * trainer.multiple
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            trainer.run(steps)
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return summarised(events, steps)


def summarised(events: list[Mapping], steps: int) -> Profile:
    """Sum the events of each operation; what only holds other operations is left out."""
    found: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {}) and not event["name"].startswith(CONTAINERS):
            found[event["name"]] += event["dur"]
    operations = {name: microseconds / steps for name, microseconds in found.most_common()}
    return Profile(operations, sum(t for name, t in operations.items() if name.startswith(PRODUCTS)))


def main(name: str) -> None:
    """Print the profile of a preset."""
    shape = PRESETS[name].shape
    found = profile(PRESETS[name], np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), np.uint8))
    print(f"{name}: {found.total:,.0f} us of operations in a step, {found.products / found.total:.0%} of it matrix products")
    for operation, microseconds in list(found.operations.items())[:SHOWN]:
        print(f"{microseconds:10,.0f} us  {microseconds / found.total:5.1%}  {operation}")


if __name__ == "__main__":
    main(*sys.argv[1:])
