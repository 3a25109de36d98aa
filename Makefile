# A machine with Python >= 3.11, pip and make is enough; everything goes to .venv and .tox.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

ARGS     ?=
TOX_ARGS ?=

.PHONY: help run test peers bench clean

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## run the suites on the embedded reference node; more with ARGS='--over tcp'
	$(BIN)/ergo-conformance run $(ARGS)

test: export PIP_CONSTRAINT := $(CURDIR)/.ci/constraints.txt
test: $(VENV)/.tox peers ## tox: tests, static checks, self; one of them with TOX_ARGS='-e static'
	$(BIN)/tox run-parallel --parallel auto $(TOX_ARGS)

# Two hosts on one machine, for one of the tests: network namespaces, which only root may make.
peers:
	@command -v ip >/dev/null || PATH=$$PATH:/usr/sbin:/sbin command -v ip >/dev/null || \
	    { echo "installing iproute2, which the tests need" && apt-get update -qq && apt-get install -qq -y iproute2; }

bench: $(VENV)/.bench ## run every benchmarks/bench_*.py
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS); done

clean: ## remove what the other targets made
	rm -rf $(VENV) .tox build dist htmlcov .coverage .coverage.* \
	    .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's Python may come without ensurepip: then the machine's own pip fills the environment.
$(VENV)/.made:
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	    $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip --disable-pip-version-check --quiet --python $(BIN)/python install pip; }
	@touch $@

$(VENV)/.runtime: pyproject.toml $(VENV)/.made
	$(PIP) install --editable .
	@touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.made
	$(PIP) install --editable '.[bench]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.tox: tox.ini $(VENV)/.made
	$(PIP) install --upgrade tox
	@touch $@
