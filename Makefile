# rollcall: `make test` is what CI runs; `make dev` is the shortest way in.
GO       ?= go
# Without gin's MessagePack: 6 MB less, and one decoder less to trust.
GOFLAGS_ := -tags nomsgpack
FUZZTIME ?= 30s

.PHONY: dev build test needs format lint race crash fuzz cover bench

dev: ## everything in one process on loopback, with curl lines to paste
	$(GO) run $(GOFLAGS_) ./cmd/rollcall dev

build: ## the binary, static
	CGO_ENABLED=0 $(GO) build -trimpath $(GOFLAGS_) -o rollcall ./cmd/rollcall

test: needs format ## vet, format, and all tests with the race detector
	$(GO) vet $(GOFLAGS_) ./...
	$(GO) test -race -shuffle=on -count=1 -timeout 13m $(GOFLAGS_) ./...

# The tests talk to a real Redis and paste curl lines; the race detector needs a C compiler.
needs:
	@missing=''; \
	command -v redis-server >/dev/null 2>&1 || missing="$$missing redis-server"; \
	command -v curl >/dev/null 2>&1 || missing="$$missing curl"; \
	command -v "$${CC:-gcc}" >/dev/null 2>&1 || missing="$$missing gcc libc6-dev"; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then \
		echo "make test needs these packages, please install them:$$missing" >&2; exit 1; \
	fi; \
	echo "installing$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q && apt-get install -y -q --no-install-recommends $$missing

format:
	@wrong=$$(gofmt -l .); test -z "$$wrong" || { echo "not in gofmt's form:" $$wrong >&2; exit 1; }

lint: ## golangci-lint, pinned in tools.mod
	$(GO) tool -modfile=tools.mod golangci-lint run

race: needs ## only the tests, with the race detector
	$(GO) test -race -shuffle=on -count=1 $(GOFLAGS_) ./...

crash: needs ## the long crash test: everything is killed, stopped and cut under load, then counted (5 to 6 minutes)
	CRASH=long $(GO) test -run '^TestCrash' -count=1 -v -timeout 15m $(GOFLAGS_) ./cmd/rollcall

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test $(GOFLAGS_) -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			$(GO) test $(GOFLAGS_) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

cover: needs ## coverage over all packages; cover.out for `go tool cover -html`
	$(GO) test $(GOFLAGS_) -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -n 1

bench: needs ## all benchmarks
	$(GO) test $(GOFLAGS_) -run '^$$' -bench . -benchmem ./...
