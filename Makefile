# Everything runs from .venv; `make install` is implied by every other target.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test check test-cluster format

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/diego-sandbox --once

test: install
	$(BIN)/pytest -m 'not cluster' $(ARGS)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m dashboards.build --check
	promtool check rules alerts/diego-medic.rules.yml
	promtool test rules alerts/*.test.yml
	amtool check-config alerts/alertmanager.yml

# A folder with up, down, fault and build, which make a one-node Kubernetes with a stand-in foundation on it.
CLUSTER = $(or $(DIEGO_MEDIC_CLUSTER),../shared/cluster)

test-cluster: install
	@test -x $(CLUSTER)/up || { \
	  echo "no cluster: $(CLUSTER) has no up, down, fault and build; say where they are in DIEGO_MEDIC_CLUSTER" >&2; exit 1; }
	DIEGO_MEDIC_CLUSTER=$(abspath $(CLUSTER)) $(BIN)/pytest -m cluster $(ARGS)
