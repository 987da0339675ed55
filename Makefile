# AtomicNI. `make` lists what there is.
SHELL := /bin/sh
PREFIX ?= /opt/cni
STATE := /var/lib/atomicni

# Looked for only by the targets that need it.
DENO = $(shell sh tools/deno)
TASK = $(DENO) task -q
# A company's proxy has a certificate that the system knows and Deno by itself does not.
export DENO_TLS_CA_STORE ?= mozilla,system

SOURCES := deno.json main.ts $(wildcard lib/*.ts lib/*/*.ts) tools/build tools/script_header.ts

.PHONY: help demo test build script bench install uninstall clean packages

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

demo: bin/atomicni ## build, then show the main job on a private host
	@sh tools/packages iproute2 util-linux busybox-static
	@tools/demo bin/atomicni

test: packages bin/atomicni bin/atomicni.js ## set up what the tests need and run them all, against source and both built forms
	$(TASK) test
	ATOMICNI=bin/atomicni $(TASK) test tests/integration
	ATOMICNI=bin/atomicni.js $(TASK) test tests/integration

build: bin/atomicni ## bin/atomicni, one executable file (deno compile)
script: bin/atomicni.js ## bin/atomicni.js, the same program for an installed Deno

bench: bin/atomicni bin/atomicni.js ## the comparison with bridge + host-local: bench/results.md and bench/plot.svg, under 5 minutes
	@sh tools/packages iproute2 util-linux strace time containernetworking-plugins
	@sh tools/build empty
	@JSR_URL=$$(sh tools/jsr_url) unshare -mn --propagation private $(DENO) run -q -A bench/run.ts

install: bin/atomicni ## put it into /opt/cni/bin (PREFIX, DESTDIR) and make the state folder
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 bin/atomicni "$(DESTDIR)$(PREFIX)/bin/.atomicni.new"
	mv "$(DESTDIR)$(PREFIX)/bin/.atomicni.new" "$(DESTDIR)$(PREFIX)/bin/atomicni"
	install -d -m 700 "$(DESTDIR)$(STATE)"
	@grep -aq 'borrowed denort' bin/atomicni && echo "installed a build for trying, with a borrowed denort: not for release" >&2 || :

uninstall: ## take it out again; the state stays
	rm -f "$(DESTDIR)$(PREFIX)/bin/atomicni"

clean: ## remove what was built
	rm -rf bin build

packages:
	@sh tools/packages iproute2 util-linux busybox-static strace containernetworking-plugins

bin/atomicni: $(SOURCES)
	@sh tools/build compiled

bin/atomicni.js: $(SOURCES)
	@sh tools/build script
