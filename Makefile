# Everything runs from .venv; `make install` is implied by every target that needs it.
PYTHON ?= python3
BIN := .venv/bin

# Which versions `make install` takes: locked (constraints.txt, the default), lowest (constraints-lowest.txt: the lower
# bounds of pyproject.toml), or newest (whatever pyproject.toml allows today).
RESOLUTION ?= locked
CONSTRAINTS.locked := constraints.txt
CONSTRAINTS.lowest := constraints-lowest.txt
CONSTRAINTS := $(CONSTRAINTS.$(RESOLUTION))
PIP := $(BIN)/pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=--constraint %)

# Most tests wait for programs and clocks, so there are more workers than cores.
WORKERS ?= $(shell expr 4 \* $$(nproc))
PYTEST := $(BIN)/pytest
PARALLEL := --numprocesses $(WORKERS) --dist worksteal

# Rooms without I/O. Whether a pod may be deleted is decided here, so nearly every branch of theirs must be tested.
PURE := exporter/foundation/assess.py exporter/gauges.py webhook/requests/*.py webhook/record/changes.py \
  webhook/record/encoding.py webhook/record/journal.py webhook/record/reasons.py webhook/runbook/guards.py \
  webhook/runbook/licence.py webhook/runbook/readiness.py exporter/foundation/findings.py exporter/foundation/leadership.py \
  exporter/foundation/summary.py \
  webhook/status/headline.py webhook/status/history.py webhook/status/known.py webhook/status/progress.py \
  webhook/status/timeline.py webhook/status/waits.py webhook/record/advice.py webhook/http/forms.py webhook/operator/layout.py \
  webhook/operator/news.py webhook/operator/screen.py webhook/operator/sight.py
comma := ,
empty :=

.PHONY: install demo docs bench test test-fast test-cluster fault-matrix coverage check format screenshots simulate simulate-ci fuzz soak mutants lock build

INSTALLED := .venv/installed-$(RESOLUTION)

install: $(INSTALLED)

# pip is upgraded first: dependency groups need pip 25.1, Python 3.11 comes with an older one.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	@rm -f .venv/installed*
	$(PIP) --upgrade pip
	$(PIP) --editable . --group dev
	@touch $@

demo: install
	$(BIN)/diego-sandbox --once

test: install
	$(PYTEST) $(PARALLEL) -m 'not cluster' --ignore tests/simulation $(ARGS)

# Pure tests only: no process, no socket.
test-fast: install
	$(PYTEST) --numprocesses auto tests/unit $(ARGS)

# Two reports: all that the unit tests reach; then the pure rooms, which have a floor.
coverage: install
	@ls $(PURE) >/dev/null
	$(PYTEST) --numprocesses auto tests/unit --quiet --cov --cov-report=term $(ARGS)
	$(BIN)/coverage report --include='$(subst $(empty) ,$(comma),$(strip $(PURE)))' --skip-covered --show-missing --fail-under=98

# A folder with up, down, fault and build, which make a one-node Kubernetes with a stand-in foundation on it.
CLUSTER = $(or $(DIEGO_MEDIC_CLUSTER),../shared/cluster)

# One worker: there is one cluster. The first `up` of a machine takes minutes.
test-cluster: install
	$(require_cluster)
	DIEGO_MEDIC_CLUSTER=$(abspath $(CLUSTER)) $(PYTEST) -m cluster --timeout 1800 $(ARGS)

# The documentation as a site, in site/. Strict: every link and anchor leads somewhere.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Every fault at every moment of a run, on the real cluster: docs/fault-matrix.md. It takes two hours, and continues where
# it was broken off (.fault-matrix.jsonl). CELLS='stopped/* none/intent' plays some.
fault-matrix: install
	$(require_cluster)
	DIEGO_MEDIC_CLUSTER=$(abspath $(CLUSTER)) $(BIN)/python -m tests.matrix $(foreach cell,$(CELLS),'$(cell)') $(ARGS)

require_cluster = @test -x $(CLUSTER)/up || { \
  echo "no cluster: $(CLUSTER) has no up, down, fault and build; set DIEGO_MEDIC_CLUSTER to the folder that has them" >&2; \
  exit 1; }

require = @command -v $(1) >/dev/null || { \
  echo "$(1) not found: install Debian's $(2) package, or put $(1) on PATH" >&2; exit 1; }

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m dashboards.build --check
	$(BIN)/python -m deploy.build --check
	$(BIN)/python -m reference.build --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir .site-check && rm -rf .site-check
	$(call require,promtool,prometheus)
	promtool check rules alerts/diego-medic.rules.yml
	promtool test rules alerts/*.test.yml
	$(call require,amtool,prometheus-alertmanager)
	amtool check-config alerts/alertmanager.yml

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The images of docs/status-page.md, of a real incident in the sandbox.
screenshots: install
	$(call require,chromium,chromium)
	$(BIN)/python -m tests.browser

# Random incidents in virtual time: docs/safety.md. A violation is printed with the command that replays it.
SEEDS ?= 0-999
simulate: install
	$(BIN)/python -W ignore -m sandbox.simulation --seeds $(SEEDS) --processes $$(nproc) $(ARGS)

# Within three minutes on two cores: random incidents, every fault at every choice point of the reference incident, and
# whether the judges can fail.
simulate-ci: install
	$(BIN)/python -W ignore -m sandbox.simulation --seeds 0-2999 --processes $$(nproc)
	$(BIN)/python -W ignore -m sandbox.simulation --single --processes $$(nproc)
	$(PYTEST) --numprocesses auto --quiet tests/simulation

# The fuzz tests with many examples, by chance and not always the same as in `make test`; a failure prints its seed.
EXAMPLES ?= 10000
fuzz: install
	FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) --numprocesses auto --dist worksteal --timeout 0 tests/fuzz $(ARGS)

# A week in virtual time, about ten minutes, and a minute with real sockets: what the programs keep must not grow.
soak: install
	$(BIN)/python -W ignore -m tests.soak $(ARGS)

# What notices each mutation of tests/mutations: about ten minutes on two cores. ARGS=--table writes the table of docs/safety.md.
mutants: install
	$(BIN)/python -m tests.mutations --processes $$(nproc) $(ARGS)

# What docs/performance.md says, measured again: about half an hour, on a machine that does nothing else.
bench: install
	$(BIN)/python -m bench $(ARGS)

# The wheel and the sdist, in dist/, with the locked hatchling and without the network.
build: install
	$(BIN)/python -m build --no-isolation

# Writes both lists of exact versions: the newest that pyproject.toml allows, and the lower bounds that it states.
# Run it on the oldest supported Python.
lock:
	$(call freeze,constraints.txt,)
	$(call freeze,constraints-lowest.txt,$(shell sed -n \
	  '/^dependencies = /,/^]/s/^ *"\([a-z-]*\)>=\([0-9.]*\).*/\1==\2/p' pyproject.toml))

define freeze
	$(PYTHON) -m venv --clear .lock
	.lock/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	.lock/bin/pip install --quiet --editable . --group dev $(2)
	{ echo '# Written by `make lock`.'; .lock/bin/pip freeze --all --exclude-editable --exclude setuptools; } >$(1)
	rm -rf .lock
endef
