"""`python -m benchmarks`: the command of `benchmarks.run`."""

from benchmarks.run import Config, main
from vae.command import run

if __name__ == "__main__":
    run(main, Config)
