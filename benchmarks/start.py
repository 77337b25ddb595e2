"""How long until the first step, in a fresh process: `python -m benchmarks.start PRESET CACHE`.

Run twice with one cache folder it gives the cold and the warm start.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

LAUNCHED = "VAE_BENCHMARK_LAUNCHED"
REPOSITORY = Path(__file__).parents[1]


class Start(NamedTuple):
    """Seconds from the launch of the process.

    imports:    until everything is imported.
    compile:    of the step's program alone.
    first_step: until the first step is done.
    """

    imports: float
    compile: float
    first_step: float


def measure_start(preset: str, cache: Path) -> Start:
    """Launch a process that takes one step, with its compiled programs kept in `cache`."""
    environment = os.environ | {LAUNCHED: repr(time.time())}
    command = [sys.executable, "-m", "benchmarks.start", preset, str(cache)]
    printed = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True).stdout
    return Start(**json.loads(printed.splitlines()[-1]))


def use_cache(folder: str) -> None:
    """Keep compiled programs in this folder."""
    import jax

    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def main(preset: str, cache: str) -> Start:
    """Take one step and say when it was done."""
    launched = float(os.environ[LAUNCHED])
    use_cache(cache)
    import jax
    import numpy as np

    from benchmarks import ours
    from benchmarks.presets import PRESETS

    imported = time.time()
    chosen = PRESETS[preset]
    images = np.zeros((chosen.batch_size, *chosen.shape), np.uint8)
    plan = ours.plan_of(chosen, images)
    state, program = plan.start(), plan.program
    before = time.time()
    program.compile(state, 0, chosen.log_every)
    compiled = time.time()
    state, _ = program.run(state, 0, chosen.log_every)
    jax.block_until_ready(state)
    return Start(imports=imported - launched, compile=compiled - before, first_step=time.time() - launched)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])._asdict()))
