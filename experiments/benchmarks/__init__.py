"""The parts of `python -m experiments.benchmark`: what is run, against whom, and how it is timed."""
