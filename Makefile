# Easel's own commands. Everything runs in .venv, which follows the requirements files.
PYTHON ?= python3
PIP = .venv/bin/python -m pip -qq --disable-pip-version-check
ARGS ?=
WHEELS ?=
PARALLEL = -n 2 --dist worksteal

# Python keeps what it has compiled, also where the shell says not to: each process of the tests would compile everything anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run quick test bench gpu train-demo measure-demo lint
.DELETE_ON_ERROR:

run: .venv/installed
	.venv/bin/python app.py $(ARGS)

# The tests that need neither a network of any size nor a browser, less the slow ones, with a fifth of the examples.
quick: .venv/installed-dev
	.venv/bin/python -m pytest $(PARALLEL) -m "not slow" --hypothesis-profile quick -p no:schemathesis tests/test_house.py tests/pure $(ARGS)

# All of them; ARGS names some alone. Two at a time, each with one thread; the tests of a file in a browser share a house.
test: .venv/installed-dev
ifeq ($(ARGS),)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest $(PARALLEL) --ignore=tests/browser
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile tests/browser
else
	.venv/bin/python -m pytest $(ARGS)
endif

bench: .venv/installed-dev
	.venv/bin/python -m benchmarks $(ARGS)

# On a machine with a card and no package registry: make gpu PYTHON=python3 WHEELS=folder (diffusers, lark, torchsde, ...).
gpu:
	$(PYTHON) -m benchmarks.gpu --wheels "$(WHEELS)" $(ARGS)

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
