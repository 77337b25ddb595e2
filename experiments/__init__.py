"""Small scripts, one question each: `python -m experiments.train --help`."""
