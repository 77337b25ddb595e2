"""How fast a step is beside its limit and its peers: what is run, against whom, how it is timed; `results/` by device."""
