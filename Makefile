# NetworkStack. `make help` lists what there is.
#
# Nothing but a Go toolchain, make, bash and git is needed for everything up to `make test`; the tools are built
# from their Go modules, one each below hack/tools, at the versions written there. docker-build needs docker or
# podman, and install and deploy need kubectl.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Steps share two things that do not bear it well: the processor, and the files being generated.
.NOTPARALLEL:

# VERSION is that of the operator, without a v. It ends up in the binary, the image's tag and the bundle.
VERSION ?= 0.1.0
# IMG is the operator's image. No registry is assumed: to push, name yours.
IMG ?= networkstack-operator:v$(VERSION)
CONTAINER_TOOL ?= docker
KUBECTL ?= kubectl
# TEST_FLAGS are added to go test, for example TEST_FLAGS='-run TestUpgrade -count=1'.
TEST_FLAGS ?=

# Worktrees and archives have no version control to stamp from; whoever sets GOFLAGS keeps theirs.
export GOFLAGS ?= -buildvcs=false
# As in the image: statically linked. With cgo the binary exports every symbol it has (a dependency knows Go's plugins), which
# doubles its size and costs 25 MiB of memory. It also saves building all dependencies twice.
export CGO_ENABLED ?= 0
LDFLAGS := -s -w -X main.version=v$(VERSION)

tool = go tool -modfile=$(CURDIR)/hack/tools/$(1)/go.mod $(1)
CONTROLLER_GEN = $(call tool,controller-gen)
KUSTOMIZE = $(call tool,kustomize)
GOLANGCI_LINT = $(call tool,golangci-lint)

##@ General

.PHONY: help
help: ## Show this list.
	@printf 'Usage: make <target> [VARIABLE=value …]\n'
	@while IFS= read -r line; do \
	  if [[ $$line == '##@ '* ]]; then printf '\n\033[1m%s\033[0m\n' "$${line#'##@ '}"; \
	  elif [[ $$line =~ ^([a-z0-9-]+):.*'## '(.*)$$ ]]; then printf '  \033[36m%-16s\033[0m %s\n' "$${BASH_REMATCH[1]}" "$${BASH_REMATCH[2]}"; fi; \
	done < $(firstword $(MAKEFILE_LIST))

##@ Try it

.PHONY: demo
demo: ## Watch the operator build a network on a control plane of its own; KEEP=1 leaves it running.
	go run ./hack/demo $(if $(filter 1,$(KEEP)),--keep)

.PHONY: demo-down
demo-down: ## Stop what make demo KEEP=1 left running.
	go run ./hack/demo down

.PHONY: cluster
cluster: ## Start a local control plane with simulated nodes; prints the KUBECONFIG to use. NAME=… for a second one.
	go run ./hack/cluster up $(if $(NAME),--name $(NAME))

.PHONY: cluster-down
cluster-down: ## Stop it and remove all it had.
	go run ./hack/cluster down $(if $(NAME),--name $(NAME))

.PHONY: run
run: ## Run the operator here against the current KUBECONFIG (first: make install); ARGS='--flag …'.
	POD_NAMESPACE=$${POD_NAMESPACE:-networkstack-system} go run -ldflags '$(LDFLAGS)' ./cmd/operator $(ARGS)

##@ Develop

.PHONY: manifests
manifests: ## Generate the custom resource definitions from api/.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases

.PHONY: generate
generate: ## Generate the deep copies of the types in api/.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: api-docs
api-docs: ## Generate docs/api.md, the reference of every field.
	$(call tool,crd-ref-docs) --source-path=api --config=hack/tools/crd-ref-docs/config.yaml --renderer=markdown --output-path=docs/api.md

.PHONY: refusals
refusals: ## Generate docs/refusals.md, the rules by which a NetworkStack is refused or warned of.
	@page=$$(go run ./hack/refusals) && printf '%s\n' "$$page" > docs/refusals.md

.PHONY: chart
chart: ## Generate what the operator's Helm chart, charts/networkstack, takes from config/ as it is.
	go run ./hack/operatorchart

.PHONY: monitoring
monitoring: ## Generate docs/metrics.md, and from config/prometheus/rules.yaml the PrometheusRule, beside the dashboard.
	go run ./hack/monitoring

.PHONY: fmt
fmt: ## Format the code and order its imports.
	$(GOLANGCI_LINT) fmt ./...

.PHONY: vet
vet: ## Run go vet.
	go vet ./...

.PHONY: lint
lint: ## Run golangci-lint; what it looks for, and why, is in .golangci.yml.
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the code calls (asks vuln.go.dev).
	$(call tool,govulncheck) ./...

##@ Test

.PHONY: test
test: verify bundle-validate catalog-validate monitoring-validate check-fmt lint control-plane go-test ## Everything that must hold before a change goes in.

.PHONY: verify
verify: ## Fail when a generated file is not what its source generates.
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir="$$tmp/crd"; \
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/... output:object:dir="$$tmp"; \
	$(call tool,crd-ref-docs) --source-path=api --config=hack/tools/crd-ref-docs/config.yaml --renderer=markdown --output-path="$$tmp/api.md" >"$$tmp/log" 2>&1 || { cat "$$tmp/log"; exit 1; }; \
	same() { git --no-pager diff --no-index --exit-code "$$1" "$$2" || { echo "$$1 is not up to date: run make $$3" >&2; exit 1; }; }; \
	same config/crd/bases "$$tmp/crd" manifests; \
	same api/v1alpha1/zz_generated.deepcopy.go "$$tmp/zz_generated.deepcopy.go" generate; \
	same docs/api.md "$$tmp/api.md" api-docs; \
	go run ./hack/refusals >"$$tmp/refusals.md"; same docs/refusals.md "$$tmp/refusals.md" refusals
	go run ./hack/bundle -check
	go run ./hack/monitoring -check
	go run ./hack/operatorchart -check
	@echo "generated files are up to date"

# Tests of these modules read files that are not theirs, which Go's cache of results does not notice: -count=1.
# Without service discovery, which needs the libraries of every cloud. (go tool knows no tags, and go run does.)
PROMTOOL = go -C hack/tools/promtool run -tags=remove_all_sd github.com/prometheus/prometheus/cmd/promtool
.PHONY: monitoring-validate
monitoring-validate: ## Check alerts and dashboard with Prometheus' own promtool and parser: syntax, metrics that exist, and tests with series.
	@$(PROMTOOL) check rules --lint=all --lint-fatal $(CURDIR)/config/prometheus/rules.yaml
	@$(PROMTOOL) test rules $(CURDIR)/config/prometheus/rules_test.yaml
	go -C hack/tools/promtool test -count=1 -tags=remove_all_sd .

.PHONY: check-fmt
check-fmt: ## Fail when gofmt would change a file.
	@files=$$(gofmt -l .); if [[ -n $$files ]]; then printf 'not formatted, run make fmt:\n%s\n' "$$files" >&2; exit 1; fi

.PHONY: control-plane
control-plane: ## Build the Kubernetes control plane that tests, demo and cluster use (minutes, but once).
	go run ./hack/cluster build

# Three packages at a time; some run several tests at a time, each with a control plane. Not the race
# detector: it needs a C compiler, and all dependencies built a second time; see test-race. The packages that take longest begin.
# What vet looks for is lint's, with more.
LONG_TESTS = ./test/lifecycle ./internal/release ./test/faults ./test/corpus ./test/matrix
.PHONY: go-test
go-test: ## Run all Go tests, those on a real control plane included; TEST_FLAGS='…' for go test.
	$(call tool,gotestsum) --format=standard-quiet -- -p 3 -vet=off -timeout 40m $(TEST_FLAGS) $(LONG_TESTS) ./...

.PHONY: test-race
test-race: ## Run the tests that start no control plane under the race detector (needs a C compiler).
	CGO_ENABLED=1 go test -race -timeout 20m $(TEST_FLAGS) \
	  $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep -v test/controlplane | cut -d' ' -f1)

.PHONY: faults
faults: ## Run the fault tests in full: every write in every way, outages of a minute, very slow answers (see docs/architecture.md).
	NETWORKSTACK_FAULTS=full go test -v -count=1 -p 1 -timeout 60m $(TEST_FLAGS) ./internal/release ./test/faults

.PHONY: bench
bench: ## Measure the release engine against the Helm SDK's own actions, as a table (BENCH_ARGS='--rounds 10').
	go run ./test/bench $(BENCH_ARGS)

.PHONY: bench-operator
bench-operator: ## Measure the operator as a process: drift, idling, memory, many nodes, everything in one object, baseline policies (PERF_ARGS='drift --count 50' for one of them; takes an hour).
	$(if $(PERF_ARGS),go run ./test/perf $(PERF_ARGS),go run ./test/perf drift && go run ./test/perf idle && go run ./test/perf memory && go run ./test/perf scale && go run ./test/perf full && go run ./test/perf policies)

.PHONY: e2e
e2e: ## Test with packets on real nodes, in namespaces of this machine: needs root, and half an hour of building the first time (docs/e2e.md).
	NETWORKSTACK_E2E=1 go test -v -count=1 -vet=off -timeout 3h $(TEST_FLAGS) ./test/e2e

##@ Build

.PHONY: build
build: ## Build bin/networkstack-operator, and kubectl's plugin bin/kubectl-networkstack.
	go build -ldflags '$(LDFLAGS)' -o bin/networkstack-operator ./cmd/operator
	go build -ldflags '$(LDFLAGS)' -o bin/kubectl-networkstack ./cmd/kubectl-networkstack

.PHONY: docker-build
docker-build: ## Build the operator's image IMG, with CONTAINER_TOOL.
	$(CONTAINER_TOOL) build --build-arg VERSION=v$(VERSION) -t $(IMG) .

.PHONY: docker-push
docker-push: ## Push the operator's image IMG.
	$(CONTAINER_TOOL) push $(IMG)

.PHONY: build-installer
build-installer: overlay ## Write dist/install.yaml: all that runs the operator, with image IMG.
	$(KUSTOMIZE) build dist/overlay > dist/install.yaml
	@echo "dist/install.yaml runs $(IMG)"

# config/default with the image IMG, without changing a file under version control.
.PHONY: overlay
overlay:
	@rm -rf dist/overlay && mkdir -p dist/overlay && cd dist/overlay && \
	$(KUSTOMIZE) create --resources ../../config/default && $(KUSTOMIZE) edit set image networkstack-operator=$(IMG)

.PHONY: bundle
bundle: ## Generate the bundle for the Operator Lifecycle Manager, and the catalogue with it (see catalog), and validate both.
	go run ./hack/bundle -version $(VERSION) -image $(IMG)
	@$(MAKE) --no-print-directory bundle-validate catalog

OLM = go -C hack/tools/olm run .
.PHONY: bundle-validate
bundle-validate: ## Validate the bundle with the Operator Framework's own validators, the optional ones included.
	@$(OLM) bundle $(CURDIR)/bundle
	@echo "bundle is valid"

# BUNDLE_IMG is the image of the bundle, which the catalogue names.
BUNDLE_IMG ?= networkstack-bundle:v$(VERSION)
# CATALOG_IMG is the image of the catalogue.
CATALOG_IMG ?= networkstack-catalog:v$(VERSION)
.PHONY: catalog
catalog: ## Generate the file-based catalogue, catalog/, with the upgrade graph and the bundle of image BUNDLE_IMG, and validate it.
	$(OLM) catalog -root $(CURDIR) -image $(BUNDLE_IMG)

.PHONY: catalog-validate
catalog-validate: ## Fail when the catalogue is not what the releases and the bundle give, or is not valid, as opm validate would say.
	$(OLM) catalog -root $(CURDIR) -check
	go -C hack/tools/olm test -count=1 .
	@echo "catalogue is valid"

.PHONY: bundle-build
bundle-build: ## Build the image BUNDLE_IMG of the bundle, with CONTAINER_TOOL.
	$(CONTAINER_TOOL) build -f bundle.Dockerfile -t $(BUNDLE_IMG) .

.PHONY: catalog-build
catalog-build: ## Build the image CATALOG_IMG of the catalogue, with CONTAINER_TOOL.
	$(CONTAINER_TOOL) build -f catalog.Dockerfile -t $(CATALOG_IMG) .

.PHONY: clean
clean: ## Remove what was built here. The cache in the user's cache directory stays.
	rm -rf bin dist

##@ Install into the current KUBECONFIG

.PHONY: install
install: ## Install the custom resource definitions.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply --server-side -f -
	$(KUSTOMIZE) build config/crd | $(KUBECTL) wait --for=condition=Established --timeout=60s -f -

.PHONY: uninstall
uninstall: ## Delete every NetworkStack (while the operator still runs), then the definitions.
	if $(KUBECTL) get crd networkstacks.networkstack.io >/dev/null 2>&1; then \
	  $(KUBECTL) delete networkstacks --all --timeout=15m; fi
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: overlay ## Run the operator with image IMG, the definitions included.
	$(KUSTOMIZE) build dist/overlay | $(KUBECTL) apply --server-side -f -

.PHONY: undeploy
undeploy: ## Remove the operator; definitions, NetworkStacks and the network stay.
	$(KUSTOMIZE) build config/admission | $(KUBECTL) delete --ignore-not-found -f -
	$(KUSTOMIZE) build config/rbac | $(KUBECTL) delete --ignore-not-found -f -
	$(KUSTOMIZE) build config/manager | $(KUBECTL) delete --ignore-not-found -f -
