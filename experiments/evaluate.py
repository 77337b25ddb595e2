"""Evaluate a trained run of any script on its test set: ELBO, importance-sampled NLL with both errors, latent units, figures.

    python -m experiments.evaluate --workdir runs/digits --samples 1000

The same as `vae evaluate`.
"""

from vae.command import evaluating, run

if __name__ == "__main__":
    run(evaluating.main, evaluating.Config)
