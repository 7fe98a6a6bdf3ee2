# Everything is done by dev.py, which Windows can call too: py dev.py demo
PYTHON ?= python3

help:
	@$(PYTHON) dev.py --help

setup demo test test-browser test-thorough lint check lock:
	@$(PYTHON) dev.py $@

# make storm COUNT=100000 SEED=1 ARGS=--background
# make bench COUNT=6 ARGS="--rounds 3 --orders 20000"
# make fuzz-events COUNT=100000 SEED=1 ARGS=--background
fuzz-events fuzz-api storm bench:
	@$(PYTHON) dev.py $@ $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: help setup demo test test-browser test-thorough fuzz-events fuzz-api storm bench lint check lock
