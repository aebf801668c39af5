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

test-cluster: install
	$(BIN)/pytest -m cluster $(ARGS)
