"""A run that takes no time, for the tests of what surrounds a run; they change one part of it at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import optax
import toys

import vae

MODEL = toys.linear_gaussian()
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
SPLITS = vae.data.Splits(train=X, validation=X[:10])
EXPERIMENT = vae.Experiment(data=SPLITS, model=MODEL, steps=8, optimiser=optax.adam(0.01), batch_size=10, validate_every=4)
HOST = vae.Host(log_every=2, progress=False)


def fit(workdir: Path | None = None, resume: str = "same", **changed: Any) -> vae.Fitted:
    """`vae.fit` of the experiment and the host with some fields changed, whichever of the two they are of."""
    of_host = {name: value for name, value in changed.items() if name in vae.Host._fields}
    of_run = {name: value for name, value in changed.items() if name not in of_host}
    return vae.fit(EXPERIMENT._replace(**of_run), workdir, HOST._replace(**of_host), resume)


def validations(records: list) -> list:
    """The records of the validations."""
    return [record for record in records if record["split"] == "validation"]
