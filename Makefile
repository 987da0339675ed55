# AtomicNI. `make` lists what there is.
SHELL := /bin/sh
PREFIX ?= /opt/cni
STATE := /var/lib/atomicni

# Looked for only by the targets that need it.
DENO = $(shell sh tools/deno)
TASK = $(DENO) task -q
# A company's proxy has a certificate that the system knows and Deno by itself does not.
export DENO_TLS_CA_STORE ?= mozilla,system

SOURCES := deno.json main.ts $(wildcard lib/*.ts lib/*/*.ts lib/*/*/*.ts) tools/build tools/script_header.ts
FORMS := bin/atomicni bin/atomicni.js

.PHONY: help demo test build script conformance faults runtimes audit bench docs sbom arm64 deb release install uninstall clean packages

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done

demo: bin/atomicni ## build, then show the main job on a private host
	@sh tools/packages iproute2 util-linux busybox-static
	@tools/demo bin/atomicni

test: packages $(FORMS) ## set up what the tests need and run them, against source and both built forms
	$(TASK) test
	ATOMICNI=bin/atomicni $(TASK) test:at tests/integration tests/cli
	ATOMICNI=bin/atomicni.js $(TASK) test:at tests/integration tests/cli

build: bin/atomicni ## bin/atomicni, one executable file (deno compile)
script: bin/atomicni.js ## bin/atomicni.js, the same program for an installed Deno

conformance: packages $(FORMS) ## libcni, bridge + host-local and mutated inputs beside the rules of the specification
	@sh tools/packages containernetworking-plugins golang-go golang-github-appc-cni-dev golang-github-containerd-go-cni-dev
	ATOMICNI=bin/atomicni.js $(TASK) test:at tests/conformance/libcni/libcni.ts tests/conformance/differential/differential.ts tests/conformance/fuzz/fuzz.ts tests/conformance/forms.ts

faults: packages $(FORMS) ## every step failing or killed, damages, a storm, a model; writes docs/faults.md; a quarter of an hour
	@sh tools/faults full

runtimes: $(FORMS) ## the plugin under containerd, with chains, FRR and more than one node; 3 to 5 minutes, root
	@sh tools/packages iproute2 util-linux procps systemd busybox-static containerd runc containernetworking-plugins iptables nftables frr curl jq openssl golang-github-kubernetes-cri-api-dev
	@JSR_URL=$$(sh tools/jsr_url) ATOMICNI=bin/atomicni.js $(DENO) test -P=tests tests/runtimes

audit: packages $(FORMS) ## what the built files are allowed, do and refuse
	@tools/audit/run $(FORMS)
	$(TASK) test:at tests/audit

bench: $(FORMS) ## the comparison with bridge + host-local: bench/results.md and bench/plot.svg, under 5 minutes
	@sh tools/packages iproute2 util-linux strace time containernetworking-plugins
	@sh tools/build empty
	@JSR_URL=$$(sh tools/jsr_url) unshare -mn --propagation private $(DENO) run -q -A bench/run.ts

docs: ## the pages in docs/ that are made of source
	@tools/docs

sbom: $(FORMS) ## bills of materials of both forms (CycloneDX)
	@tools/sbom $(FORMS)

arm64: $(FORMS) ## both forms for aarch64, and all tests of tests/integration against them under an emulator; half an hour
	@tools/arm64 full

deb: $(FORMS) ## build/atomicni_VERSION_ARCHITECTURE.deb, a Debian package of the compiled file
	@tools/deb bin/atomicni

release: ## build/release: both architectures, packages, bills of materials, what each file is allowed, checksums
	@sh tools/packages qemu-user
	@tools/release

install: bin/atomicni ## put it into /opt/cni/bin (PREFIX, DESTDIR) and make the state folder
	@sh tools/install bin/atomicni "$(DESTDIR)$(PREFIX)/bin"
	install -d -m 700 "$(DESTDIR)$(STATE)"
	@grep -aq 'borrowed denort' bin/atomicni && echo "installed a build for trying, with a borrowed denort: not for release" >&2 || :

uninstall: ## take it out again; the state stays
	rm -f "$(DESTDIR)$(PREFIX)/bin/atomicni" "$(DESTDIR)$(PREFIX)/bin"/.atomicni-*

clean: ## remove what was built
	rm -rf bin build

packages:
	@sh tools/packages iproute2 util-linux bsdutils busybox-static strace zsh fish python3-prometheus-client

bin/atomicni: $(SOURCES)
	@sh tools/build compiled

bin/atomicni.js: $(SOURCES)
	@sh tools/build script
