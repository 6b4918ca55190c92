# Lark Service: `make demo` and `make test` need python3 and make; they set up the rest.
# Servers given by RABBITMQ_URL, REDIS_URL or DATABASE_URL are used instead of private ones.

PYTHON ?= $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11)
BIN := .venv/bin
ROOMS := schemas gateway consumers cli sandbox client
SOURCES := pyproject.toml client/pyproject.toml constraints.txt
NODE_PRODUCER := examples/node_amqplib
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# Arguments for pytest or the demo: make test ARGS="-k stack"
ARGS ?=
# Test modules that run side by side, each worker on servers of its own; on given servers they would
# meet, and run one after the other.
WORKERS ?= $(if $(RABBITMQ_URL)$(REDIS_URL)$(DATABASE_URL),0,2)

.DEFAULT_GOAL := help
.PHONY: demo test properties check bench bench-limits bench-tokens bench-outages fuzz proof chaos-smoke chaos-matrix chaos-soak chaos-steps chaos-mutants audit stack servers node_producer clean help

demo: .venv/runtime.stamp servers node_producer ## The main job on private servers and a simulated Feishu.
	$(BIN)/lark-service demo $(ARGS)

test: .venv/dev.stamp servers ## All tests, on private servers, and what they cover.
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report= --numprocesses $(WORKERS) \
	    --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(BIN)/python tests/support/coverage_by_room.py $(ROOMS)

properties: .venv/dev.stamp servers ## Limiter and outcome records against simple models, 10,000 sequences.
	LARK_SEQUENCES=10000 $(BIN)/pytest --timeout 900 \
	    tests/unit/gateway/limits/test_local_properties.py \
	    tests/unit/gateway/limits/test_local_seeded.py \
	    tests/integration/gateway/limits/test_properties.py \
	    tests/integration/gateway/limits/test_seeded.py \
	    tests/integration/gateway/outcomes/test_properties.py $(ARGS)

check: .venv/dev.stamp ## Lint, format, types and the order of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.stamp servers ## What we claim, measured beside what else could be used.
	$(BIN)/python -m benchmarks.throughput $(ARGS)

bench-limits: .venv/bench.stamp servers ## Limits kept and waiting kept short, beside what else could be used (an hour and a half).
	$(BIN)/python -m benchmarks.limits $(ARGS)

bench-tokens: .venv/dev.stamp servers ## Tokens, apps and secrets at the size of a fleet, and while servers fail.
	$(BIN)/python -m benchmarks.tokens $(ARGS)

bench-outages: .venv/dev.stamp servers ## What an outage of each component costs, and how soon it is over (a quarter of an hour).
	$(BIN)/python -m benchmarks.outages $(ARGS)

fuzz: .venv/dev.stamp ## Any bytes into what reads bytes, 5 minutes each, then the properties of all values.
	$(BIN)/python -m tests.fuzz $(ARGS)
	LARK_EXAMPLES=10000 $(BIN)/pytest --timeout 3600 \
	    tests/unit/consumers/test_envelope_properties.py \
	    tests/unit/consumers/test_settlement_properties.py \
	    tests/unit/gateway/test_redaction_properties.py \
	    tests/unit/gateway/test_request_properties.py

proof: .venv/dev.stamp servers ## Load and faults on real parts, every id accounted for (15 minutes).
	$(BIN)/python -m benchmarks.proof $(ARGS)

chaos-smoke: .venv/dev.stamp servers ## Every kind of fault while calls are made, every call accounted for (a minute).
	$(BIN)/python -m tests.chaos smoke $(ARGS)

chaos-matrix: .venv/dev.stamp servers ## Each family of faults alone, on two and on four gateways (half an hour).
	$(BIN)/python -m tests.chaos matrix $(ARGS)

chaos-soak: .venv/dev.stamp servers ## All faults for an hour, 250,000 calls.
	$(BIN)/python -m tests.chaos soak $(ARGS)

chaos-steps: .venv/dev.stamp servers ## Gateways killed at every step of a call, 30 times for each class (an hour).
	$(BIN)/python -m tests.chaos.steps $(ARGS)

chaos-mutants: .venv/dev.stamp servers ## Twelve products with one promise broken: each must be caught.
	$(BIN)/python -m tests.chaos.mutants $(ARGS)

# Strict: what could not be asked about is no good news.
audit: .venv/audit.stamp ## Known flaws of the locked dependencies, which PyPI is asked for.
	$(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt $(ARGS)

stack: .venv/runtime.stamp servers ## Private RabbitMQ, Redis and PostgreSQL that stay up.
	$(BIN)/lark-service stack up $(ARGS)

servers: .venv/runtime.stamp ## Install RabbitMQ, Redis and PostgreSQL if they are missing.
	@$(BIN)/python -m sandbox.stack.provision

# The demo shows a producer in Node too, where npm is and can get amqplib; it does without.
node_producer:
	@if [ ! -d $(NODE_PRODUCER)/node_modules/amqplib ] && command -v npm >/dev/null; then \
	    npm install --prefix $(NODE_PRODUCER) --no-package-lock --no-audit --no-fund \
	        --fetch-retries=0 --fetch-timeout=20000 --loglevel=error || true; \
	fi

clean: ## Stop the private servers; delete the environment and everything made.
	@if [ -x $(BIN)/lark-service ] && [ -e .local/stack/state.json ]; then \
	    $(BIN)/lark-service stack down --purge; \
	fi
	rm -rf .venv .local .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf build dist ./*.egg-info client/src/*.egg-info $(NODE_PRODUCER)/node_modules

help: ## This list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

# The module venv is part of Python, but Debian ships its pip apart (python3-venv); an installed
# pip can then put itself into the environment.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: install it or name it, make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv 2>/dev/null || \
	    { $(PYTHON) -m venv --clear --without-pip .venv && \
	      $(PYTHON) -m pip --python .venv/bin/python install --quiet pip; } || \
	    { rm -rf .venv; echo "Install python3-venv first (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }

.venv/runtime.stamp: $(SOURCES) | $(BIN)/pip
	$(INSTALL) -e '.[demo]' -e ./client
	@touch $@

.venv/dev.stamp: .venv/runtime.stamp
	$(INSTALL) -e '.[dev]'
	@touch $@

.venv/bench.stamp: .venv/dev.stamp
	$(INSTALL) -e '.[bench]'
	@touch $@

.venv/audit.stamp: .venv/dev.stamp
	$(INSTALL) -e '.[audit]'
	@touch $@
