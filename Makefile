# make build, make test, make check: see make help.

GO            ?= go
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT        ?= $(shell git rev-parse HEAD 2>/dev/null)
GOLANGCI_LINT ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# make build TAGS=nogpu: without devices, and static.
TAGS ?=
# go test: how long, and what every run gets.
TESTFLAGS ?=
FUZZTIME  ?= 10s
SOAKCOUNT ?= 20
# jbc bench: for example BENCHFLAGS="--threads 4 --json".
BENCHFLAGS ?=

LDFLAGS = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.PHONY: help build test check format vet lint tidy generate ptx cross bench bench-chain fuzz mutate soak smoke clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./jbc without cgo; with TAGS=nogpu a static file
	CGO_ENABLED=0 $(GO) build -tags '$(TAGS)' -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o jbc ./cmd/jbc

test: ## run every test with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race $(TESTFLAGS) ./...
	$(GO) test -run '^TestRefusedCredentials$$' ./worker # skipped above, where it says why
	cd bench/_btcd && $(GO) test $(TESTFLAGS) ./...

check: format vet lint tidy build test mutate ## everything a change has to pass

format: ## list files that gofmt would change, and fail if there are any
	@files=$$(gofmt -l */); \
	if [ -n "$$files" ]; then echo "gofmt -w these:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...
	cd hashing/_asm && $(GO) vet ./...
	cd bench/_btcd && $(GO) vet ./...

lint: ## run the pinned golangci-lint (the first time builds it, about a minute)
	$(GO) run $(GOLANGCI_LINT) run ./...

tidy: ## fail if go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	$(GO) mod verify

generate: ## write the assembly of package hashing again (make test compares it)
	cd hashing/_asm && $(GO) run .

ptx: ## compile hashing/gpu/kernel.cl for CUDA again (needs clang-19; make test compares it)
	$(GO) test -count=1 -run '^TestPTXIsUpToDate$$' ./hashing/gpu -update

cross: ## test package hashing as other CPUs, under qemu-user, and build it for more
	GO=$(GO) .ci/cross

bench: build ## measure this machine
	./jbc bench $(BENCHFLAGS)

bench-chain: ## measure package chain beside btcd's, which it downloads (see bench/_btcd/main.go)
	cd bench/_btcd && $(GO) run . $(BENCHFLAGS)

fuzz: ## run every fuzz target for FUZZTIME each
	@for pkg in $$($(GO) list ./...); do \
		tests=$$($(GO) test -list '^Fuzz' $$pkg) || exit 1; \
		for target in $$(echo "$$tests" | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg || exit 1; \
		done; \
	done

mutate: ## change real and valid blocks for a minute, none of which may do harm
	$(GO) test -run '^TestMutants$$' -count 1 -v ./chain -mutate.for 1m

soak: ## run the long proofs, then every other test SOAKCOUNT times in random order
	JBC_SOAK=1 $(GO) test -count 1 -v -timeout 2h $(TESTFLAGS) ./bench/farm ./chain
	CGO_ENABLED=1 $(GO) test -race -shuffle on -count $(SOAKCOUNT) -timeout 2h $(TESTFLAGS) \
		$$($(GO) list ./... | grep -v /bench/farm)

smoke: build ## start the built program as the README says and watch it mine
	.ci/smoke ./jbc

clean: ## remove what make built
	rm -f jbc
	$(GO) clean -testcache
