# make install | make demo | make kafka | make clients | make test | make journeys | make kills | make rest | make test-server | make faults | make quality | make bench | make bench-scale | make bench-server | make lint | make format | make kit | make docs | make build | make lock | make audit | make licences | make digests.
# Everything happens in .venv, which is made when it is missing; LOCKED=1 installs the versions of the locks.
PYTHON ?= python3
DATASET ?= journey
# One more than there are cores: tests also wait for processes that they start.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(1 + (os.cpu_count() or 1))')
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: install demo kafka clients test journeys kills rest test-server test-server-core faults quality bench bench-scale bench-server lint format kit docs build lock audit licences digests clean programs broker
.DEFAULT_GOAL := demo

install: .venv/.test .venv/.clients

demo: .venv/.demo
	@$(BIN)/alsobought demo --dataset $(DATASET)

# On the engine in the process of the tests. What takes many steps is in `make journeys`, what kills processes in `make kills`.
test: programs .venv/.test validated .venv/.clients broker
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/faults -m "not thorough and not journey" $(ARGS)

# The tests marked `journey`: upgrades, tutorials, the wheel, rebuilds and erasures beside a stream of events.
# Their files alone: to collect all of the suite takes each process ten seconds.
JOURNEYS = $(sort $(shell grep -rl --include='test_*.py' 'mark.journey' tests))
journeys: programs .venv/.test broker
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "journey and not thorough" $(JOURNEYS) $(ARGS)

# Processes killed at the most critical steps, brokers stopped, writers suspended: the short form of `make faults`. They mostly wait.
kills: .venv/.test broker
	$(BIN)/python -m pytest -n $$((1 + $(WORKERS))) --dist worksteal tests/faults $(ARGS)

# Both in one run, which takes a quarter less: no process waits for the last test of the first.
rest: programs .venv/.test broker
	$(BIN)/python -m pytest -n $$((1 + $(WORKERS))) --dist worksteal -m "(journey or kill) and not thorough" tests/faults $(JOURNEYS) $(ARGS)

# The tests that use an engine, again over HTTP on a ClickHouse server: ALSOBOUGHT_TEST_CLICKHOUSE=http://…, a container where Docker
# answers, or the server in the package chdb. 960 tests, of which `make test-server-core` runs those that store, count and answer.
CORE := tests/web/test_pipes.py tests/writer/test_refunds.py tests/counts/test_consistency.py tests/privacy/test_guests.py tests/storage/test_retention.py
test-server: .venv/.test broker
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --engine server -m "not thorough and not journey" $(ARGS)

test-server-core:
	$(MAKE) test-server ARGS="$(CORE)"

# A Kafka broker on 127.0.0.1:9092 until Ctrl-C. Apache Kafka comes from Maven Central the first time.
kafka: .venv/.test
	@$(BIN)/python -m tests.support.brokers

# Typed clients in build/clients, TypeScript and Python, of the pipes here, or of a service: make clients SHOP=http://… (Node and npm).
clients: .venv/.test .venv/.clients
	@$(BIN)/python -m tests.clients --to build/clients $(if $(SHOP),--shop $(SHOP))

# Every fault at every step, and kills at random moments; then the tests elsewhere that are marked thorough.
MORE := tests/faults tests/counts/test_invariant.py tests/privacy/test_erasure.py
faults: .venv/.test broker
	KILLS=30 EXAMPLES=100 $(BIN)/python -m pytest -m "thorough or not thorough" $(MORE) $(ARGS)
	$(BIN)/python -m pytest -m thorough $(MORE:%=--ignore=%) $(ARGS)

# Our pipes beside every baseline on public and generated data sets, and against the floors of tests/quality/. Writes
# docs/explanation/quality-table.md. ARGS="--only media": one data set, some minutes. The journey takes most of an hour.
quality: .venv/.test
	@$(BIN)/python -m benchmarks.quality $(ARGS)

# Benchmarks that need nothing but this clone, each of which writes its page in benchmarks/: make bench BENCH="hostile kafka".
BENCH ?= hostile first_light upkeep backup kafka traffic server shards goals steps agreement
bench: .venv/.test .venv/.bench broker
	@for name in $(BENCH); do echo "benchmarks/$$name.py …"; $(BIN)/python -m benchmarks.$$name || exit 1; done

# How cost grows with the shop, in benchmarks/scale.md: 20 minutes. ARGS=--full: up to 100 million events, hours; ARGS=--quick: some minutes.
bench-scale: .venv/.test
	@$(BIN)/python -m benchmarks.scale $(ARGS)

# The production path: Kafka, `alsobought ingest`, a ClickHouse server, `alsobought serve --workers 1, 2, 4`. Writes benchmarks/server.md.
bench-server: .venv/.test .venv/.bench broker
	$(BIN)/python -m benchmarks.server $(ARGS)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.words
	$(BIN)/mypy
	$(BIN)/sqlfmt --check pipes sql/macros
	$(BIN)/codespell

format: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfmt pipes sql/macros

# The script of shop pages as it is served, from its source.
kit: .venv/.clients
	cd app/alsobought/web/kit && $(abspath tests/clients/node_modules/.bin/terser) alsobought.js --module -c -m -o alsobought.min.js

# The parts of docs/reference/ that are made from the code.
docs: .venv/.test
	$(BIN)/python -m docs.generate

# The wheel, the sdist and the bill of materials (CycloneDX), in dist/.
build: .venv/.test
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m supply_chain.sbom dist

# Known vulnerabilities in the locked packages. Where the database of advisories cannot be reached, it says so.
audit: .venv/.test
	@$(BIN)/python -m supply_chain.audit

# The licences of the locked packages, in supply_chain/licences.toml: after `make lock` and `make install`.
licences: .venv/.test
	@$(BIN)/python -m supply_chain.licences

# The digests of the images, in dist/images.env: needs Docker, and the network.
digests: .venv/.test
	@$(BIN)/python -m supply_chain.digests dist/images.env

# The image installs requirements.lock, `make install LOCKED=1` installs requirements-dev.lock. Both have hashes but no hosts:
# uv.lock would name the hosts of the packages, which pip's own settings decide.
lock: .venv/.test
	$(LOCK) --output-file requirements.lock pyproject.toml
	$(LOCK) --output-file requirements-dev.lock --extra baselines --extra demo --extra edit --extra learn --extra otel --extra registry --extra s3 --group dev pyproject.toml
LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.venv/.demo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Alsobought needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) …"
	@$(if $(LOCKED),$(PIP) --require-hashes -r requirements.lock)
	@$(PIP) --editable '.[demo]'
	@touch $@

.venv/.test: .venv/.demo
	@echo "Installing the test tools into .venv …"
	@$(PIP) 'pip>=25.1'  # older ones know no dependency groups
	@$(if $(LOCKED),$(PIP) --require-hashes -r requirements-dev.lock)
	@$(PIP) --editable '.[baselines,demo,edit,learn,otel,registry,s3]' --group dev
	@touch $@

.venv/.clients: tests/clients/package-lock.json .venv/.demo
	@command -v npm >/dev/null || { echo "The generated clients need Node and npm: apt-get install nodejs npm"; exit 1; }
	@echo "Installing the generators of typed clients into tests/clients/node_modules …"
	@NODE_EXTRA_CA_CERTS="$${NODE_EXTRA_CA_CERTS:-$(wildcard /etc/ssl/certs/ca-certificates.crt)}" npm ci --loglevel=error --prefix tests/clients >/dev/null
	@touch $@

# vegeta sends requests at a fixed rate; it is a Go program.
.venv/.bench: .venv/.test
	@command -v go >/dev/null || { echo "The load of the benchmarks comes from vegeta, which needs Go: apt-get install golang"; exit 1; }
	@echo "Installing vegeta into .venv …"
	@GOBIN=$(abspath $(BIN)) go install github.com/tsenart/vegeta/v12@v12.12.0
	@touch $@

# Validates every pipe once for all processes of the tests, in the background: the rest of the installation mostly waits.
.PHONY: validated
validated: .venv/.demo
	@XDG_CACHE_HOME=$(CURDIR)/.pytest_cache/d $(BIN)/alsobought pipe check >/dev/null 2>&1 &

# Checks first that the programs are installed that the tests need and pip cannot install.
programs:
	@command -v npm >/dev/null || { echo "The generated clients need Node and npm: apt-get install nodejs npm"; exit 1; }
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "The tests of the page need Chromium: apt-get install chromium"; exit 1; }

# Apache Kafka in .kafka/.
broker: .venv/.test
	@$(BIN)/python -m tests.support.brokers fetch

clean:
	rm -rf .venv .kafka data build *.egg-info tests/clients/node_modules
