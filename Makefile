# make train   set everything up; train a VAE on handwritten digits, evaluate it, draw it
# make test    set everything up; lint, types and the test suite
# make test-slow   the tests of stopped processes and other long ones
# make benchmark   install the peers too; time every preset beside them (ARGS=--quick for a minute's run)
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.peers

# Everything that is kept between runs (decoded data, compiled programs) stays inside this folder.
export VAE_CACHE_DIR ?= $(CURDIR)/runs/.cache
export MPLCONFIGDIR ?= $(VAE_CACHE_DIR)/matplotlib

.PHONY: train test test-slow lint smoke benchmark clean
.DEFAULT_GOAL := train

train: $(INSTALLED)
	$(RUN) -m experiments.train

test: lint
	$(RUN) -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(INSTALLED)
	$(RUN) -m pytest -n 2 --dist worksteal -m slow

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

smoke: $(INSTALLED)
	rm -rf runs/smoke
	$(RUN) -m experiments.train --smoke --workdir runs/smoke
	$(RUN) -m experiments.evaluate --workdir runs/smoke --samples 10
	$(RUN) -m experiments.sample --workdir runs/smoke --number 16

benchmark: $(PEERS)
	$(RUN) -m benchmarks $(ARGS)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; set PYTHON to a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(PEERS): $(INSTALLED)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	@touch $@

clean:
	rm -rf runs .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
