# AtomicNI. `make` lists the targets.
SHELL := /bin/sh
PREFIX ?= /opt/cni
# The size of a suite: short, as in CI, or full.
SIZE ?= full
STATE := /var/lib/atomicni

# Evaluated only by the targets that need it.
DENO = $(shell sh tools/build/deno)
TASK = $(DENO) task -q
# A company's proxy may have a certificate that only the system's store contains, so Deno uses that store too.
export DENO_TLS_CA_STORE ?= mozilla,system

# A built file contains its commit, hence the log of HEAD.
SOURCES := $(wildcard .git/logs/HEAD) deno.json main.ts $(wildcard lib/*.ts lib/*/*.ts lib/*/*/*.ts) tools/build/build tools/build/script_header.ts
FORMS := bin/atomicni bin/atomicni.js

# A folder of tests/ with a program `run` is a suite. Its Debian packages are in the file `packages` next to it.
SUITES := $(patsubst tests/%/run,%,$(wildcard tests/*/run))

# `make test` runs all unit, integration and command tests on the script form, which starts fastest. COMPILED runs on the
# compiled form too: ADD and DEL on the kernel, the differences between the forms (scope, permissions, `version`), undo,
# and the operator commands. SOURCE runs on the source. For root, tests without root run on the script form alone. Each
# test has its own host, so files run in parallel; some wait more than they compute, hence one job more than processors.
COMPILED := $(patsubst %,tests/integration/%_test.ts,add del scope streams traffic undo) tests/cli/command_test.ts
SOURCE := $(filter %/add_test.ts %/scope_test.ts %/command_test.ts,$(COMPILED))
export DENO_JOBS ?= $(shell echo $$(($$(nproc) + 1)))

.PHONY: help demo build script test check lint fmt suite $(SUITES) bench mutants docs release deb image install uninstall clean packages

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

demo: bin/atomicni ## build, then show the main job on a private host
	@sh tools/debian/packages iproute2 util-linux busybox-static
	@tools/demo bin/atomicni

build: bin/atomicni ## bin/atomicni, one executable file (deno compile)
script: bin/atomicni.js ## bin/atomicni.js, the same program for an installed Deno

test: packages $(FORMS) build/warm ## install what the tests need; run them on the source and on both built forms
	$(TASK) check
	ATOMICNI=bin/atomicni.js $(TASK) test
	ATOMICNI=bin/atomicni ROOTLESS=no $(TASK) test:at $(COMPILED)
	ROOTLESS=no $(TASK) test:at $(SOURCE)

check: ## types
	$(TASK) check

lint: ## rules
	$(TASK) lint

fmt: ## layout: rewrites files
	$(DENO) fmt -q

suite: ## NAME=…: one of the longer suites; SIZE=short as in CI. Without NAME: list the suites
	@[ -z "$(NAME)" ] || exec env SIZE=$(SIZE) tests/$(NAME)/run; for it in $(SUITES); do sed -En '2s|^# tests/([a-z0-9]*)/run[^:]*: |  NAME=\1: |p' tests/$$it/run; done

# `make guard` is `make suite NAME=guard`.
$(filter-out release,$(SUITES)):
	@$(MAKE) -s suite NAME=$@

bench: $(FORMS) ## compare with bridge + host-local: bench/results.md; BEFORE=COMMIT, REFERENCE=DEBIAN-SUITE: with those too; 5 minutes
	@sh tools/debian/packages bench/packages
	@sh tools/build/build empty
	@sh tools/build/build least
	@$(if $(BEFORE),before=$$(sh tools/build/before $(BEFORE)) && export BEFORE="$$before" && )$(if $(REFERENCE),root=$$(sh tools/debian/unpacked "$$(dpkg --print-architecture)" $(REFERENCE) containernetworking-plugins) && export REFERENCE="$$root" && )JSR_URL=$$(sh tools/build/jsr_url) unshare -mn --propagation private $(DENO) run -q -A bench/run.ts
	@$(DENO) fmt -q bench/results.md bench/plot.svg

mutants: ## delete each statement of lib/ in turn; which tests notice? FILES=REGEXP, SAMPLE=N, TESTS=…: less than all, which takes 4 hours
	@FILES="$(FILES)" SAMPLE="$(SAMPLE)" SEED="$(SEED)" TESTS="$(TESTS)" COMMIT="$(COMMIT)" tools/mutants/mutants

docs: ## the pages in docs/ that are made from source
	@tools/pages/docs

release: ## build/release: both architectures, packages, bills of materials, scopes, checksums
	@sh tools/debian/packages qemu-user
	@tools/release/release

deb: $(FORMS) ## build/atomicni_VERSION_ARCHITECTURE.deb, a Debian package of the compiled file
	@tools/release/deb bin/atomicni

image: bin/atomicni ## bin/image: the program for both architectures, as deploy/Containerfile takes it
	@for arch in x86_64:amd64 aarch64:arm64; do \
	  file=bin/atomicni; [ "$${arch%:*}" = "$$(uname -m)" ] || { file=bin/atomicni-$${arch%:*}; sh tools/build/build compiled "$${arch%:*}" || exit; }; \
	  install -D -m 755 "$$file" "bin/image/$${arch#*:}/atomicni" || exit; done

install: bin/atomicni$(if $(filter script,$(FORM)),.js) ## install into /opt/cni/bin (PREFIX, DESTDIR), with the state folder; FORM=script: the script form and its Deno
	@DESTDIR="$(DESTDIR)" sh tools/install $(if $(filter script,$(FORM)),--deno) $< "$(DESTDIR)$(PREFIX)/bin"
	umask 022; install -d "$(DESTDIR)$(dir $(STATE))"; install -d -m 700 "$(DESTDIR)$(STATE)"
	@grep -aq 'borrowed denort' $< && echo "installed a build for trying, with a borrowed denort: not for release" >&2 || :

uninstall: ## remove the program; the state remains
	rm -f "$(DESTDIR)$(PREFIX)/bin/atomicni" "$(DESTDIR)$(PREFIX)/bin"/.atomicni-*
	rm -rf "$(DESTDIR)$(PREFIX)/libexec/atomicni"

clean: ## remove what was built
	rm -rf bin build

packages:
	@sh tools/debian/packages tests/packages

bin/atomicni: $(SOURCES)
	@sh tools/build/build compiled

bin/atomicni.js: $(SOURCES)
	@sh tools/build/build script

# It saves time: without it, each host of a test starts without Deno's cache of compiled code.
build/warm: bin/atomicni.js | packages
	@sh tools/build/warm
