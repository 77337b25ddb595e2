"""Draw examples from a trained run of any script, by context where it is conditional.

    python -m experiments.sample --workdir runs/digits --number 64 --temperature 0.8

The same as `vae sample`.
"""

from vae.command import run, sampling

if __name__ == "__main__":
    run(sampling.main, sampling.Config)
