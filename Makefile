# AtomicNI. `make` lists what there is.
SHELL := /bin/sh
PREFIX ?= /opt/cni
# Some suites have a short form.
SIZE ?= full
STATE := /var/lib/atomicni

# Looked for only by the targets that need it.
DENO = $(shell sh tools/deno)
TASK = $(DENO) task -q
# A company's proxy has a certificate that the system knows and Deno by itself does not.
export DENO_TLS_CA_STORE ?= mozilla,system

# A built file says its commit, hence the log of HEAD.
SOURCES := $(wildcard .git/logs/HEAD) deno.json main.ts $(wildcard lib/*.ts lib/*/*.ts lib/*/*/*.ts) tools/build tools/script_header.ts
FORMS := bin/atomicni bin/atomicni.js

# Debian packages, by the suite that needs them: each is run where nothing else is installed (.ci/run).
TEST_PACKAGES := iproute2 util-linux bsdutils busybox-static e2fsprogs strace zsh fish nftables python3 python3-prometheus-client \
  containernetworking-plugins
CONFORMANCE_PACKAGES := containernetworking-plugins golang-go golang-github-appc-cni-dev golang-github-containerd-go-cni-dev
RUNTIMES_PACKAGES := iproute2 util-linux procps systemd busybox-static containerd runc containernetworking-plugins \
  iptables nftables frr curl jq openssl golang-github-kubernetes-cri-api-dev
GUARD_PACKAGES := iproute2 util-linux procps busybox-static nftables iptables iperf3 python3 containernetworking-plugins
MACHINE_PACKAGES := iproute2 util-linux procps busybox-static user-mode-linux qemu-utils qemu-system-x86 kmod e2fsprogs xfsprogs systemd
FIRSTHOUR_PACKAGES := iproute2 util-linux procps psmisc systemd busybox-static containerd runc containernetworking-plugins \
  iptables nftables jq
FIREWALLS_PACKAGES := iproute2 util-linux procps busybox-static containernetworking-plugins iptables nftables docker.io dbus \
  firewalld ufw
CONFINEMENT_PACKAGES := bubblewrap python3-seccomp apparmor
DEB_PACKAGES := binutils busybox-static debootstrap iproute2 lintian man-db util-linux
ARM64_PACKAGES := binutils bsdutils busybox-static iproute2 qemu-user util-linux
KUBERNETES_PACKAGES := iproute2 util-linux busybox-static debootstrap kubernetes-client curl openssl shellcheck python3 frr
RELEASE_PACKAGES := python3-yaml shellcheck qemu-user

# What runs where. The whole of the unit, integration and command tests runs on the script form, which starts fastest.
# TELLING runs on the compiled form too: ADD and DEL against the kernel, what differs by form (scope,
# permissions, what `version` says), undo, and what a person runs. SOURCE, a part of it, runs on the source. The
# conformance table runs on both built forms in `make conformance`, and has to end in the same documents with both. Each
# test has a host of its own, so files run side by side; some wait more than they work, hence one job more than processors.
TELLING := $(patsubst %,tests/integration/%_test.ts,add del scope traffic undo) tests/cli/command_test.ts
SOURCE := $(filter %/add_test.ts %/scope_test.ts %/command_test.ts,$(TELLING))
export DENO_JOBS ?= $(shell echo $$(($$(nproc) + 1)))

# Every target that is no file below bin/.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done

demo: bin/atomicni ## build, then show the main job on a private host
	@sh tools/packages iproute2 util-linux busybox-static
	@tools/demo bin/atomicni

test: packages $(FORMS) build/warm ## set up what the tests need and run them, against source and both built forms
	$(TASK) check
	ATOMICNI=bin/atomicni.js $(TASK) test
	ATOMICNI=bin/atomicni $(TASK) test:at $(TELLING)
	$(TASK) test:at $(SOURCE)

check: ## types
	$(TASK) check

lint: ## rules
	$(TASK) lint

fmt: ## layout: rewrites files
	$(DENO) fmt -q

build: bin/atomicni ## bin/atomicni, one executable file (deno compile)
script: bin/atomicni.js ## bin/atomicni.js, the same program for an installed Deno

conformance: packages $(FORMS) build/warm ## libcni, bridge + host-local and mutated inputs beside the rules of the specification
	@sh tools/packages $(CONFORMANCE_PACKAGES)
	@tools/conformance

faults: packages $(FORMS) build/warm ## every step failing or killed, damages, a storm, a model; writes docs/evidence/faults.md; a quarter of an hour; SIZE=short as in CI
	@sh tools/faults $(SIZE)

properties: packages bin/atomicni.js build/warm ## generated configurations, hosts, containers and roots, each with what must hold; about an hour; SIZE=short as in CI
	@tools/properties $(SIZE)

guard: $(FORMS) ## attacks by raw frames, with and without macspoofchk; writes docs/evidence/guard.md and the table in SECURITY.md; 10 minutes, root; SIZE=short as in CI
	@sh tools/packages $(GUARD_PACKAGES)
	@tools/guard $(SIZE)

machine: $(FORMS) ## power cuts, broken disks, reboots and kernels on a machine of its own; writes docs/evidence/machine.md; seven minutes, root; SIZE=short as in CI
	@sh tools/packages $(MACHINE_PACKAGES)
	@sh tools/machine $(SIZE)

runtimes: $(FORMS) ## the plugin under containerd, with chains, FRR and more than one node; 3 to 5 minutes, root
	@sh tools/packages $(RUNTIMES_PACKAGES)
	ATOMICNI=bin/atomicni.js $(TASK) test:at tests/runtimes

kubernetes: $(FORMS) ## the DaemonSet's real pods on nodes with Debian 11, 12 and 13, and lives of such nodes; SIZE=short; ten minutes, root
	@sh tools/packages $(KUBERNETES_PACKAGES)
	@[ "$(SIZE)" = short ] || $(TASK) test:at tests/kubernetes/node_test.ts tests/kubernetes/nft_test.ts tests/kubernetes/rollback_test.ts tests/kubernetes/bgp_test.ts
	$(if $(filter short,$(SIZE)),KUBERNETES_LIVES=2 KUBERNETES_SUITE=trixie,KUBERNETES_LIVES=12) $(TASK) test:at tests/kubernetes/manifest_test.ts tests/kubernetes/lives_test.ts

image: bin/atomicni ## bin/image: the program for both architectures, as deploy/Containerfile takes it
	@for arch in x86_64:amd64 aarch64:arm64; do \
	  file=bin/atomicni; [ "$${arch%:*}" = "$$(uname -m)" ] || { file=bin/atomicni-$${arch%:*}; sh tools/build compiled "$${arch%:*}" || exit; }; \
	  install -D -m 755 "$$file" "bin/image/$${arch#*:}/atomicni" || exit; done

firsthour: $(FORMS) ## README, install, containerd and troubleshooting pages, done line by line in a fresh clone
	@sh tools/packages $(FIRSTHOUR_PACKAGES)
	@tools/firsthour

firsttime: ## what somebody types first, each on a machine with nothing but npm, make and git, and on Debian 12; root
	@tools/clean_root tools/firsttime
	@tools/clean_root --root "$$(sh tools/debian_root bookworm make npm git ca-certificates)" sh -c 'make demo && make deb && make audit'

userlands: ## the life cycle and the rules on the userlands of Debian 11, 12 and its next release; root
	@tools/userlands

firewalls: $(FORMS) ## beside the real Docker, firewalld and ufw, which it installs: for a throw-away machine
	@[ -n "$$CI" ] || [ ! -d /run/systemd/system ] || { echo "systemd would start Docker, firewalld and ufw on this machine once they are installed; CI=1 makes firewalls all the same" >&2; exit 1; }
	@sh tools/packages $(FIREWALLS_PACKAGES)
	ATOMICNI=bin/atomicni.js $(TASK) test:at tests/firewalls

audit: packages $(FORMS) ## what the built files are allowed, do and refuse; build/scope-report.md says it on a page
	@tools/audit/run $(FORMS)
	$(TASK) test:at tests/audit

confinement: packages $(FORMS) ## both forms under their seccomp filters; AppArmor profiles beside traces
	@sh tools/packages $(CONFINEMENT_PACKAGES)
	@tools/confinement

bench: $(FORMS) ## the comparison with bridge + host-local, BEFORE=COMMIT with an older program too: bench/results.md, bench/plot.svg; 5 minutes
	@sh tools/packages iproute2 util-linux strace time busybox-static containernetworking-plugins
	@sh tools/build empty
	@sh tools/build least
	@$(if $(BEFORE),before=$$(sh tools/before $(BEFORE)) && export BEFORE="$$before" && )JSR_URL=$$(sh tools/jsr_url) unshare -mn --propagation private $(DENO) run -q -A bench/run.ts
	@$(DENO) fmt -q bench/results.md bench/plot.svg

docs: ## the pages in docs/ that are made of source
	@tools/docs

arm64: $(FORMS) ## both forms for aarch64, and all tests of tests/integration against them under an emulator; half an hour; SIZE=short as in CI
	@sh tools/packages $(ARM64_PACKAGES)
	@tools/arm64 $(SIZE)

deb: $(FORMS) ## build/atomicni_VERSION_ARCHITECTURE.deb, a Debian package of the compiled file
	@tools/deb bin/atomicni

deb-tests: $(FORMS) ## that package by the real dpkg in a clean Debian, and read by lintian; root
	@sh tools/packages $(DEB_PACKAGES)
	@tools/package

sbom: $(FORMS) ## bills of materials of both forms (CycloneDX)
	@tools/sbom $(FORMS)

release: ## build/release: both architectures, packages, bills of materials, what each file is allowed, checksums
	@sh tools/packages qemu-user
	@tools/release

release-tests: $(FORMS)
	@sh tools/packages $(RELEASE_PACKAGES)
	$(TASK) test:at tests/release

install: bin/atomicni$(if $(filter script,$(FORM)),.js) ## put it into /opt/cni/bin (PREFIX, DESTDIR) and make the state folder; FORM=script: the script form with a Deno of its own
	@DESTDIR="$(DESTDIR)" sh tools/install $(if $(filter script,$(FORM)),--deno) $< "$(DESTDIR)$(PREFIX)/bin"
	umask 022; install -d "$(DESTDIR)$(dir $(STATE))"; install -d -m 700 "$(DESTDIR)$(STATE)"
	@grep -aq 'borrowed denort' $< && echo "installed a build for trying, with a borrowed denort: not for release" >&2 || :

uninstall: ## take it out again; the state stays
	rm -f "$(DESTDIR)$(PREFIX)/bin/atomicni" "$(DESTDIR)$(PREFIX)/bin"/.atomicni-*
	rm -rf "$(DESTDIR)$(PREFIX)/libexec/atomicni"

clean: ## remove what was built
	rm -rf bin build

packages:
	@sh tools/packages $(TEST_PACKAGES)

missing-packages:
	@sh tools/packages --name $(TEST_PACKAGES)

bin/atomicni: $(SOURCES)
	@sh tools/build compiled

bin/atomicni.js: $(SOURCES)
	@sh tools/build script

# Only to save time: without it each host of a test begins with nothing compiled.
build/warm: bin/atomicni.js | packages
	@sh tools/warm
