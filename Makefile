# What there is: `make`. Two commands are enough to begin with: `make run` and `make test`.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(PATH):/usr/sbin
# The tests start programs hundreds of times: each module is compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
# InfluxDB 1.8 as `make servers` leaves it; 2.7 and Grafana are named by GOCCHE_INFLUXD2 and GOCCHE_GRAFANA.
export GOCCHE_INFLUXD1 ?= $(wildcard $(CURDIR)/.servers/influxd)
export GOCCHE_INFLUXD2 ?=
export GOCCHE_GRAFANA ?=
# Where `make test` keeps its files: in memory, where there are 2 GB of it. No test there cuts the power; journeys do, on a disk.
MEMORY := $(shell [ -w /dev/shm ] && [ "$$(df -k --output=avail /dev/shm | tail -1)" -gt 2000000 ] && echo /dev/shm)

.DEFAULT_GOAL := help
.PHONY: help run drill test check static journeys bench servers docs lock clean

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: $(VENV)/run ## a garden on this machine, no hardware: prints its pages (ARGS="--http 127.0.0.1:9000 --data garden")
	@exec $(BIN)/gocche up $(ARGS)

test: $(VENV)/dev ## everything that must hold, offline
	$(if $(MEMORY),PYTEST_DEBUG_TEMPROOT=$(MEMORY)) $(BIN)/python -m pytest -m "not journey" -n 6 --dist loadfile --no-loadscope-reorder $(ARGS)

check: static test ## format, lint, types, import contracts, docs, tests: what CI runs

static: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m gocche.reference --check

journeys: $(VENV)/dev ## slow: outages, kills, full disks, real servers; keeps pictures in docs/img
	GOCCHE_IMG=$(CURDIR)/docs/img $(BIN)/python -m pytest -m journey --timeout 900 -s $(ARGS)

bench: $(VENV)/dev ## figures against peers and limits, as ratios
	$(BIN)/python -m bench $(ARGS)

drill: $(VENV)/run ## stage smoke at the garden that `make run` keeps running, and follow the alarm
	@$(BIN)/gocche drill fire --stage smoke $(ARGS) || [ $$? -eq 1 ]  # 1: nobody answered, which it has said

servers: ## as root: Debian's Mosquitto, Chromium, wrk and zbar, InfluxDB 1.8.10 where Go is
	apt-get install -y --no-install-recommends mosquitto chromium fonts-noto-core wrk zbar-tools
	-systemctl disable --now mosquitto.service 2>/dev/null
	@if command -v go >/dev/null; then \
	  GOBIN=$(CURDIR)/.servers go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10; \
	else echo "InfluxDB 1.8.10 not built: there is no go; install Go, or set GOCCHE_INFLUXD1 to an influxd 1.8 binary"; fi

docs: $(VENV)/dev ## write docs/reference/ anew from the code
	$(BIN)/python -m gocche.reference

lock: ## choose the newest allowed versions and lock them with hashes
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/edge.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra cloud --extra demo --extra labels --group build -c requirements/edge.lock -o requirements/run.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra cloud --extra demo --extra labels --extra apprise --group build --group dev -c requirements/run.lock -o requirements/dev.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra apprise -c requirements/dev.lock -o requirements/apprise.lock

clean: ## forget what was built here; the garden's data stays where --data put it
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run
