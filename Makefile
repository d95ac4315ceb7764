# Easel's own commands. Everything runs in .venv, which follows the requirements files.
PYTHON ?= python3
PIP = .venv/bin/python -m pip -qq --disable-pip-version-check
ARGS ?=

.PHONY: run test bench train-demo measure-demo lint
.DELETE_ON_ERROR:

run: .venv/installed
	.venv/bin/python app.py $(ARGS)

test: .venv/installed-dev
	.venv/bin/python -m pytest $(ARGS)

bench: .venv/installed-dev
	.venv/bin/python -m benchmarks $(ARGS)

train-demo: .venv/installed
	.venv/bin/python -m training.train $(ARGS)

measure-demo: .venv/installed
	.venv/bin/python -m training.measure $(ARGS)

lint: .venv/installed-dev
	.venv/bin/ruff check .

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Easel needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python requirements.txt
	$(PIP) install -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(PIP) install -r requirements-dev.txt
	touch $@
