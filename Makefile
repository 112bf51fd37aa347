# Two commands matter: `make demo` and `make test`. Each does all its own set-up.

.PHONY: demo up down test bench setup
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin

define install
	@test -n "$(PYTHON)" || { echo "Longrun needs Python 3.11 or newer; install it, or say where it is: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || { $(PYTHON) -m venv .venv || { echo "No virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }; }
	@cmp -s $(1) .venv/$(2).stamp || { echo "Installing $(1) (once) …"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --require-hashes -r $(1) \
	|| { echo "The installation failed: is there a network, and room on the disk (about 1 GB)?"; exit 1; }; \
	$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1; cp $(1) .venv/$(2).stamp; }
endef

setup:
	$(call install,requirements.lock,base)

demo: setup
	@$(BIN)/python -m config.local detach
	@$(BIN)/python -m api.demo

up: setup
	@$(BIN)/python -m config.local up

down: setup
	@$(BIN)/python -m config.local down

test: setup
	$(call install,tests/requirements.lock,tests)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST)

bench: setup
	$(call install,tests/requirements.lock,tests)
	$(call install,bench/requirements.lock,bench)
	$(BIN)/python -m bench
