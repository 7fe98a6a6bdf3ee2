# Everything is done by dev.py, which Windows can call too: py dev.py demo
PYTHON ?= python3

help:
	@$(PYTHON) dev.py --help

setup demo test test-browser lint check lock:
	@$(PYTHON) dev.py $@

.PHONY: help setup demo test test-browser lint check lock
