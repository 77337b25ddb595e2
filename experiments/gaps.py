"""Why the bound of a trained run of any script is loose: its posterior's family, its encoder, its number of samples.

    python -m experiments.gaps --workdir runs/digits
    python -m experiments.gaps --workdir runs/digits --smoke         to see that everything works

The same as `vae gaps`.
"""

from vae.command import gapping, run

if __name__ == "__main__":
    run(gapping.main, gapping.Config)
