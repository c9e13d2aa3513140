# The verbs of Spark-Ops. Only Python 3.11 or newer with venv and pip is needed beforehand.
SHELL := /bin/sh
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
VENV := .venv/bin/python

# .venv's own Python if it works, else the first one on PATH that is new enough.
define python
$$(for candidate in $(VENV) python3.11 python3 python3.12 python3.13 python3.14 python; do \
  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    echo $$candidate; exit; fi; done; \
  echo false; echo "Spark-Ops needs Python 3.11 or newer on PATH." >&2)
endef
install = $(python) controlplane/supervisor/install.py

.PHONY: help up test lint bench chaos scale seed manage shots check lock

help: ## show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST)

up: ## install, start everything, print the address; Ctrl-C stops
	@$(install)
	@exec $(VENV) -m controlplane.supervisor

test: ## lint, unit, contract, platform, browser and short fault tests; needs nothing started
	@$(install) --dev
	@exec $(VENV) -m tests.run $(PARTS)

lint: ## ruff and mypy only
	@$(install) --dev
	@exec $(VENV) -m tests.run lint

bench: ## measure W1 to W10 of the contract, print a table, write bench.json
	@$(install) --dev
	@exec $(VENV) -m tests.bench $(ARGS)

chaos: ## the long fault suite
	@$(install) --dev
	@exec $(VENV) -m tests.run chaos-long

scale: ## what takes a million rows or a thousand sockets
	@$(install) --dev
	@exec $(VENV) -m tests.run scale

seed: ## fill the running instance with runs: make seed ARGS="--runs 100000"
	@exec $(VENV) -m controlplane.supervisor.command seed $(ARGS)

manage: ## any manage.py command on the running instance: make manage ARGS=migrate
	@exec $(VENV) -m controlplane.supervisor.command $(ARGS)

shots: ## screenshots of every page, light and dark, wide and narrow, into .shots/
	@$(install) --dev
	@exec $(VENV) -m tests.shots $(ARGS)

check: ## that locks, migrations and committed assets fit their sources
	@$(install) --dev
	@exec $(VENV) -m tests.run check

lock: ## write the lock files anew from requirements*.txt
	@$(install) --dev
	@exec $(VENV) -m tests.support.locks
