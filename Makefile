# Two commands matter: `make demo` and `make test`. Each does all its own set-up.
.PHONY: demo up down test proof chaos fuzz bench

INSTALL := PYTHON="$(PYTHON)" sh config/local/install.sh
PY := .venv/bin/python
# Each process has a Postgres and a Valkey of its own; a Redis that is named is one for all. Files
# stay in their order: those with whole stacks are few and long, and come before the many short ones.
AT_ONCE := $(if $(TEST_REDIS_URL),,-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder)

demo: # a novel is read in, and one of its characters answers; the stack goes on running
	@$(INSTALL) base
	@$(PY) -m config.local demo

up: # the stack in the foreground; one Ctrl-C stops all of it
	@$(INSTALL) base
	@$(PY) -m config.local up

down: # stops the stack, wherever it was started
	@test ! -x $(PY) || $(PY) -m config.local down

test: # lint, types, import contracts, tests; runs beside a stack (more for pytest: make test PYTEST=...)
	@$(INSTALL) tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest $(AT_ONCE) $(PYTEST)

proof: # the long tests, which `make test` leaves out
	@$(INSTALL) tests
	$(PY) -m pytest -m long $(PYTEST)

chaos: # breaks everything at random for 30 minutes (make chaos CHAOS="--minutes 5 --seed 7")
	@$(INSTALL) tests
	$(PY) -m tests.chaos $(CHAOS)

fuzz: # every route of a real stack, for MINUTES=10, with what one answers in the next
	@$(INSTALL) tests
	$(PY) -m tests.fuzzing $(or $(MINUTES),10)

bench: # measures, and writes bench/RESULTS.md
	@$(INSTALL) bench
	$(PY) -m bench
