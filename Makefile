# Everything a developer runs. `make demo` and `make run` need Go and nothing else; the rest installs what it needs with
# `make setup`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Arguments for the demo: make demo ARGS="--once -o json"
ARGS ?=
# Packages to test: make test PKG=./auth/...
PKG ?= ./...
# A part of the table of figures: a word of a row, a benchmark or a package. make bench BENCH=scrape; BENCH=./sidecar
BENCH ?=
# The slowest package starts real daemons again and again.
TEST_TIMEOUT ?= 40m

GO_FILES = git ls-files --cached --others --exclude-standard -- '*.go' ':!sdk/gen' ':!sidecar/internal/store/storepb' | while read -r f; do [ ! -e "$$f" ] || echo "$$f"; done
WEB_BIN := sdk/web/node_modules/.bin

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run three members and a portal on this machine; ARGS=--once plays the whole story and ends.
	@go run ./examples/portal-integration $(ARGS)

.PHONY: run
run: ## Run one sidecar with its default configuration, in dev mode, with its data in ./data.
	@HANSE_DEV=true go run ./sidecar/cmd/hanse serve

.PHONY: test
test: setup lint verify foreign-deps bin/gotestsum ## Check everything: lint, generated files, all tests under the race detector.
	bin/gotestsum --format pkgname --hide-summary skipped --jsonfile bin/test.json -- -race -timeout $(TEST_TIMEOUT) $(PKG)
	@[ "$(PKG)" != ./... ] || .ci/counts bin/test.json
	@echo "All checks and tests passed."

.PHONY: lint
lint: bin/gofumpt bin/staticcheck web-deps ## Check format, vet, staticcheck, the contracts and the TypeScript.
	@echo "gofumpt"; files=$$($(GO_FILES) | xargs bin/gofumpt -l); [ -z "$$files" ] || { echo "not formatted (make fmt):"; echo "$$files"; exit 1; }
	go vet ./...
	go vet -tags planted ./sidecar/internal/plant
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./...
	bin/staticcheck ./...
	cd sdk/proto && ../web/node_modules/.bin/buf lint
	@image=$$(mktemp --suffix=.binpb); trap 'rm -f "$$image"' EXIT; cd sdk/proto && \
	  echo "buf breaking"; ../web/node_modules/.bin/buf build . -o "$$image" && \
	  ../web/node_modules/.bin/buf breaking "$$image" --against api.binpb --config buf.yaml
	cd sdk/web && npm run --silent check

.PHONY: verify
verify: web-deps ## Prove that generated files and bundles are what their sources give, without touching them.
	.ci/verify

.PHONY: generate
generate: web-deps ## Write stubs, the vendored schema, storage records, the web bundle and the configuration page.
	.ci/generate .
	go test ./sidecar -run TestConfigurationPage -update-config-docs

.PHONY: bench
bench: ## Print what is measured, now, its aim and its baseline in the same run; 25 minutes, or BENCH=a part.
	@go run ./sidecar/internal/benchtable $(BENCH)

# Kinds of faults to leave out.
CHAOS_WITHOUT ?=

.PHONY: chaos
chaos: ## Hurt real members: 10,000 orders, 1,000 faults, four parts at once; clean parts are kept in test-results/chaos and not played again.
	go build -o bin/hanse ./sidecar/cmd/hanse
	bin/hanse chaos --orders 10000 --faults 1000 --seed 1 --parts 40 --results test-results/chaos --without "$(CHAOS_WITHOUT)" -o json

.PHONY: edges
edges: ## Kill members at each moment of each step of orders and subscriptions; what was survived is kept in test-results/edges.
	go build -o bin/hanse ./sidecar/cmd/hanse
	bin/hanse chaos --edges --results test-results/edges

.PHONY: versions
versions: ## Have the hanse of another commit trade a thousand orders with this one, on either side; VERSION_BEFORE=COMMIT.
	.ci/versions

# Also PLANTED_BUGS, PLANTED_SEEDS, PLANTED_ORDERS, PLANTED_FAULTS, PLANTED_WITHOUT and PLANTED_AT_ONCE: see .ci/planted.
.PHONY: planted
planted: ## Give members each planted bug, seeds 1 to 3, and see that chaos finds it: hours; what was found is not played again.
	.ci/planted

.PHONY: planted-testpeer
planted-testpeer: ## Give a supplier planted bugs and see that hanse testpeer names the rules that it breaks.
	go test -tags planted -count=1 ./sidecar -run PlantedBug

.PHONY: fmt
fmt: bin/gofumpt ## Format the Go code.
	@$(GO_FILES) | xargs bin/gofumpt -w

.PHONY: setup
setup: ## Install what the tests need: PostgreSQL, Redis, Chromium, promtool, Node.
	@.ci/setup

.PHONY: clean
clean: ## Remove build output; ./data stays.
	rm -rf bin .demo test-results

.PHONY: web-deps
web-deps:
	@[ -x $(WEB_BIN)/buf ] || { .ci/setup node && cd sdk/web && npm ci --no-audit --no-fund; }

.PHONY: foreign-deps
foreign-deps: ## Install what the foreign member of the tests needs: npm's jose.
	@[ -d sidecar/foreignpeer/node_modules/jose ] || { .ci/setup node && cd sidecar/foreignpeer && npm ci --no-audit --no-fund; }

bin/gofumpt bin/staticcheck bin/gotestsum: .ci/tools/go.mod
	@mkdir -p bin && cd .ci/tools && go build -o ../../bin/ mvdan.cc/gofumpt honnef.co/go/tools/cmd/staticcheck gotest.tools/gotestsum && \
	  touch ../../bin/gofumpt ../../bin/staticcheck ../../bin/gotestsum
