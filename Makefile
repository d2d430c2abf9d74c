# `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CLUSTER := tests/controlplane/cluster
HELM := tests/controlplane/helm
PROMTOOL := tests/controlplane/promtool
LITELLM := tests/litellm/server
CHART_CRDS := charts/keysmith/files/crds
REALTOOLS := tests/realtools/flux/kustomize-controller tests/realtools/argo/argo tests/realtools/externalsecrets/external-secrets
SCRIPTS := $(REALTOOLS) tests/realtools/built.bash $(CLUSTER) $(HELM) $(PROMTOOL) $(LITELLM) tests/chaos-all tests/attack-all tests/bench/peer/build deploy/demo deploy/krew/manifest deploy/image/build docs/build docs/pictures/render .ci/run .ci/tool .ci/version

# Another cluster is used only when asked for: `make demo KUBECONFIG=…`. One in the environment may be somebody's
# production, so nothing here passes it on.
ifeq ($(origin KUBECONFIG),command line)
export KEYSMITH_KUBECONFIG := $(abspath $(KUBECONFIG))
endif
unexport KUBECONFIG

.PHONY: help
help: ## List the targets
	@printf 'usage: make TARGET\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r name text; \
	  do printf '  %-14s %s\n' "$$name" "$$text"; done
	@printf '\nKUBECONFIG=FILE on this command line uses that cluster instead of starting one\n'

.PHONY: build
build: ## Build the debug binary
	cargo build

.PHONY: image
image: ## Build the container image, with docker, buildah or podman, or without any; deploy/image/build help lists ARCH, BASE …
	@deploy/image/build

.PHONY: sbom
sbom: ## List what is in the binary of the image, as CycloneDX
	@deploy/image/build sbom

.PHONY: reproducible
reproducible: ## Build what is committed twice from nothing, and compare: a quarter of an hour on two cores
	@deploy/image/build twice

.PHONY: demo
demo: ## Show everything on a real control plane, without an account; VENDOR=cortecs for another vendor, ONCE=1 cleans up at the end
	@ONCE=$(ONCE) VENDOR=$(VENDOR) deploy/demo up

.PHONY: demo-down
demo-down: ## Stop what `make demo` left running
	@deploy/demo down

# What the emulator forges, what the stories bring along, and what they deposit.
TEST_SECRETS := [-_]emulated-([0-9]+-[0-9a-f]|story)|canary-(credential|secret)|\bsk-[A-Za-z0-9_-]{22}\b

.PHONY: test
test: control-plane litellm flux site ## Run every test, up to those on a real control plane and at a real LiteLLM
	@output=$$(mktemp); trap 'rm -f "$$output"' EXIT; \
	  cargo test --all-features 2>&1 | tee "$$output"; \
	  if grep -qE '$(TEST_SECRETS)' "$$output"; then \
	    echo 'a secret of the tests is in what they printed' >&2; exit 1; \
	  fi

.PHONY: realtools
realtools: control-plane ## Have the real Flux, Argo CD and External Secrets apply a team's folder; a quarter of an hour the first time
	@for tool in $(REALTOOLS); do $$tool build; done
	cargo test --all-features --test tools -- --include-ignored

.PHONY: chaos
chaos: control-plane ## Let everything go wrong, at full length; the last line says what came of it
	@tests/chaos-all

.PHONY: bench
bench: control-plane ## Measure the release binary beside a floor client: hours; KEYSMITH_BENCH_SIZES, _RUNS and _LATENCY shorten it
	cargo build --release
	cargo build --release --example bench
	@target/release/examples/bench

.PHONY: attack
attack: control-plane ## Try every attack, every specification and every bad neighbour; the last line says what came of it
	@tests/attack-all

# The control plane takes minutes to build the first time; here that is seen, inside a test it would look like a hang.
.PHONY: control-plane
control-plane:
	@echo '== control plane for the tests'
	@$(CLUSTER) up --dir .cluster-build >/dev/null
	@$(CLUSTER) down --dir .cluster-build
	@$(HELM) version >/dev/null
	@$(PROMTOOL) --version >/dev/null

.PHONY: flux
flux:
	@tests/realtools/flux/kustomize-controller build

# So does LiteLLM; where this machine lacks what it needs, its tests say so.
.PHONY: litellm
litellm:
	@lacks=$$($(LITELLM) missing); if [[ -z $$lacks ]]; then $(LITELLM) install; \
	  else echo "left out: the stories at the real LiteLLM, because this machine lacks $$lacks" >&2; fi

# A link or a heading that the documentation names and does not have is an error.
.PHONY: site
site:
	@lacks=$$(docs/build missing); if [[ -z $$lacks ]]; then docs/build; \
	  else echo "left out: the links of the documentation, because this machine lacks $$lacks" >&2; fi

.PHONY: check
check: ## Check format, lints, docs, generated files, scripts, and the licences and sources of crates
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features
	@$(MAKE) --no-print-directory check-generated check-scripts check-crates

.PHONY: check-generated
check-generated:
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	  cargo run --quiet -- crds --dir "$$fresh"; \
	  for dir in crds $(CHART_CRDS); do \
	    diff -ru "$$dir" "$$fresh" || { echo "$$dir is not up to date: run make generate" >&2; exit 1; }; \
	  done
	@echo 'generated files are up to date'

.PHONY: check-scripts
check-scripts:
	@for script in $(SCRIPTS); do bash -n "$$script"; done
	@if command -v gofmt >/dev/null; then \
	  unformatted=$$(gofmt -l tests/controlplane tests/gitops tests/bench/peer tests/realtools); \
	  if [[ -n $$unformatted ]]; then echo "run gofmt -w on: $$unformatted" >&2; exit 1; fi; \
	fi
	@echo 'scripts are sound'

# What cargo-deny says without a network: licences, sources, and the crates that are not to come in. `make advisories` asks
# the database of known vulnerabilities, too.
.PHONY: check-crates
check-crates:
	@.ci/tool cargo-deny --log-level error check bans licenses sources

.PHONY: advisories
advisories: ## Ask the public database whether a crate has a known vulnerability; takes a network
	@.ci/tool cargo-deny check advisories

.PHONY: generate
generate: ## Write crds/ and what follows from it, and what the chart renders: read the diff
	cargo run --quiet -- crds --dir crds
	cargo run --quiet -- crds --dir $(CHART_CRDS)
	KEYSMITH_UPDATE=1 cargo test --quiet --all-features --test fast -- charts::golden charts::reference config_map written_down as_the_code_says_it

.PHONY: docs
docs: ## Build the documentation into target/docs
	@docs/build

.PHONY: pictures
pictures: ## Render the pictures of the documentation
	@docs/pictures/render

.PHONY: version
version: ## Print the one version, or move it everywhere: make version VERSION=1.2.3
	@.ci/version $(VERSION)

.PHONY: cluster
cluster: ## Start a control plane with the CRDs, and print the line that selects it
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Stop that control plane and remove its data
	@$(CLUSTER) down
