"""`python -m benchmarks`: the command of `benchmarks.run`."""

from benchmarks.run import Config, main
from experiments import command_line

if __name__ == "__main__":
    command_line.run(main, Config)
