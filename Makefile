# Builds ./ebpfmon. What TypeScript can do is in tools/ and in deno.json's tasks; here is what depends on what.
# V=1 shows the commands.

# The architecture that is built for, by Debian's names: amd64 or arm64. The machine's own becomes ./ebpfmon, another
# ./ebpfmon-ARCH; their parts are in build/ and build/ARCH, and what both share is made once.
HOST_ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,amd64)
ARCH := $(HOST_ARCH)
ifeq ($(filter $(ARCH),amd64 arm64),)
$(error Cannot build for ARCH=$(ARCH): it must be amd64 or arm64)
endif
MACHINE_amd64 := x86_64
MACHINE_arm64 := aarch64

# The npm registry has no 2.9.3 for arm64. From 2.9.4 on Deno may abort in node:http2 when a peer closes after a large
# stream (denoland/deno#36788), which concerns `agent` and `serve`; so only arm64 takes a newer one.
DENO_VERSION_amd64 := 2.9.3
DENO_VERSION_arm64 := 2.9.6
PREFIX ?= /usr/local
IFACE ?=

Q := $(if $(filter 1,$(V)),,@)
# L: build/bin/deno is a link, as old as itself and not as the binary.
MAKEFLAGS += --no-print-directory -L
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:

# Debian keeps bpftool and setcap where only root's PATH looks.
export PATH := $(CURDIR)/build/bin:$(PATH):/usr/sbin:/sbin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

PACKAGES := clang llvm libbpf-dev libbpf1 bpftool libelf1 zlib1g linux-libc-dev libc6-dev git
TEST_PACKAGES := clang-format curl iproute2 iputils-ping tcpdump util-linux libcap2-bin procps tshark nfdump \
	nats-server openssl protobuf-compiler python3-grpcio python3-protobuf
# A C compiler's other half: the headers and the static libc of another architecture. clang makes the code.
CROSS_PACKAGES_amd64 := gcc-x86-64-linux-gnu libc6-dev-amd64-cross
CROSS_PACKAGES_arm64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross
KERNEL_TEST_PACKAGES := debootstrap e2fsprogs cpio xz-utils zstd kmod
KERNEL_TEST_PACKAGES_amd64 := qemu-system-x86
KERNEL_TEST_PACKAGES_arm64 := qemu-system-arm
BENCH_PACKAGES := bpftrace softflowd tshark nfdump

DENO := build/bin/deno
RUN := $(DENO) run --quiet --no-prompt --allow-read --allow-env
BPF_OBJECTS := $(patsubst %.c,build/%.o,$(wildcard bpf/*.bpf.c))
TEST_OBJECTS := $(patsubst %.c,build/%.o,$(wildcard tests/bpf/*.bpf.c))
BENCH_OBJECTS := $(patsubst %.c,build/%.o,$(wildcard bench/bpf/*.bpf.c))
BENCH_PROGRAMS := $(patsubst %.c,build/%,$(wildcard bench/*.c))
C_SOURCES := $(wildcard bpf/*.[ch] */bpf/*.[ch] bench/*.[ch] tools/*.c)
SOURCES := $(shell find main.ts lib -name '*.ts' ! -name '*_test.ts' 2>/dev/null)
PARTS := $(addprefix build/,stamps/app stamps/assets launcher packager commit)
# Reproducible: no path of this machine ends up in BTF.
# libbpf's BPF_CORE_READ() declares a constant that it fills in later, of which newer compilers warn.
BPF_FLAGS = -g -O2 -Wall -Werror -Wno-unknown-warning-option -Wno-default-const-init-var-unsafe -target bpf -mcpu=v3 -ffile-prefix-map=$(CURDIR)=. \
	-I/usr/include/$(shell clang -print-multiarch 2>/dev/null || clang -dumpmachine)

##@ Build

ebpfmon: $(PARTS) tools/pack.ts tools/permissions.ts ## Build ./ebpfmon (the default); ARCH=arm64 makes ./ebpfmon-arm64 for aarch64
	$(Q)$(RUN) --allow-write=. --allow-run tools/pack.ts $(DENO_VERSION_$(HOST_ARCH))
	@echo "Built ./ebpfmon ($$(cat build/packager))"

# make ARCH=arm64
ebpfmon-%: $(addprefix build/,stamps/app stamps/assets commit %/launcher %/bin/deno %/stamps/lib) \
		tools/pack.ts tools/permissions.ts
	$(Q)$(RUN) --allow-write=. tools/pack.ts $(DENO_VERSION_$*) $*
	@echo "Built ./$@ (self-extracting)"

.DEFAULT_GOAL := $(if $(filter $(HOST_ARCH),$(ARCH)),ebpfmon,ebpfmon-$(ARCH))

# For what runs on this machine.
.PHONY: native
native:
	@[ $(ARCH) = $(HOST_ARCH) ] || { \
		echo "Cannot do this for $(ARCH): this machine is $(HOST_ARCH); build with make ARCH=$(ARCH) and copy ./ebpfmon-$(ARCH)" >&2; \
		exit 1; }

build/stamps/packages: tools/install_packages Makefile
	$(Q)mkdir -p $(@D)
	$(Q)tools/install_packages $(PACKAGES)
	$(Q)touch $@

build/bin/deno: tools/install_deno Makefile | build/stamps/packages
	$(Q)tools/install_deno $(DENO_VERSION_$(HOST_ARCH)) $@

build/%/bin/deno: tools/install_deno Makefile | build/stamps/packages
	$(Q)tools/install_deno $(DENO_VERSION_$*) $@ $(MACHINE_$*)

build/stamps/node_modules: deno.json deno.lock | $(DENO)
	$(Q)$(DENO) install --quiet
	$(Q)touch $@

# `bpftool gen object` fills in the offsets of variables, which clang leaves zero in BTF, and drops DWARF.
build/%.bpf.o: %.bpf.c $(wildcard bpf/*.h) | build/stamps/packages
	$(Q)mkdir -p $(@D)
	$(Q)clang $(BPF_FLAGS) -c $< -o build/$*.raw.o
	$(Q)bpftool gen object $@ build/$*.raw.o
	$(Q)rm build/$*.raw.o

$(BENCH_PROGRAMS): build/bench/%: bench/%.c $(wildcard bench/*.h bpf/*.h) | build/stamps/packages
	$(Q)mkdir -p $(@D)
	$(Q)clang -O2 -Wall -Werror $< -o $@ -lbpf

build/stamps/layouts: $(BPF_OBJECTS) tools/layouts.ts | $(DENO)
	$(Q)$(RUN) --allow-write=lib/wire --allow-run=bpftool tools/layouts.ts
	$(Q)touch $@

build/stamps/app: $(SOURCES) tools/bundle.ts build/stamps/node_modules build/stamps/layouts
	$(Q)$(RUN) --allow-write=build --allow-run tools/bundle.ts
	$(Q)touch $@

build/stamps/assets: $(BPF_OBJECTS) tools/assets.ts tools/libraries.ts | $(DENO)
	$(Q)$(RUN) --allow-write=build --allow-run tools/assets.ts
	$(Q)touch $@

# Without a static libc the launcher works all the same: the loader trusts no environment where capabilities are gained.
build/launcher: tools/launcher.c | build/stamps/packages
	$(Q)clang -O2 -Wall -Wextra -Werror -static -s $< -o $@ 2>/dev/null || \
		clang -O2 -Wall -Wextra -Werror -s $< -o $@

build/%/stamps/packages: tools/install_packages Makefile
	$(Q)mkdir -p $(@D)
	$(Q)tools/install_packages $(CROSS_PACKAGES_$*)
	$(Q)touch $@

# Without this make would take the stamps for intermediate files and remove them.
.PRECIOUS: build/%/stamps/packages build/%/stamps/lib build/%/bin/deno build/%/launcher

build/%/launcher: tools/launcher.c | build/%/stamps/packages build/stamps/packages
	$(Q)clang --target=$(MACHINE_$*)-linux-gnu -O2 -Wall -Wextra -Werror -static -s $< -o $@

build/%/stamps/lib: tools/unpack_packages tools/libraries.ts | $(DENO)
	$(Q)mkdir -p $(@D)
	$(Q)tools/unpack_packages $* build/$*/packages libbpf1
	$(Q)$(RUN) --allow-write=build --allow-run tools/libraries.ts build/$*/lib build/$*/packages
	$(Q)touch $@

build/packager: tools/packager.ts | $(DENO)
	$(Q)$(RUN) --allow-write --allow-run tools/packager.ts > $@

# Looked at each time, but only a new commit makes anything new.
build/commit: FORCE
	@mkdir -p $(@D)
	@commit=$$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown); \
	[ "$$commit" = "$$(cat $@ 2>/dev/null || true)" ] || echo "$$commit" > $@

.PHONY: FORCE
FORCE:

.PHONY: layouts
layouts: build/stamps/layouts ## Generate lib/wire/layouts.gen.ts from the BPF objects' BTF

.PHONY: proto
proto: build/stamps/node_modules build/stamps/test-packages ## Generate lib/fleet/proto from the .proto files
	$(Q)$(RUN) --allow-write --allow-run tools/proto.ts

.PHONY: clean
clean: ## Remove everything that was built
	$(Q)rm -rf build ebpfmon ebpfmon-amd64 ebpfmon-arm64 node_modules

##@ Run and check

.PHONY: run
run: native ebpfmon ## Watch an interface: make run IFACE=eth0
	$(Q)$(SUDO) ./ebpfmon monitor $(IFACE)

.PHONY: test
test: native ebpfmon lint $(TEST_OBJECTS) $(BENCH_OBJECTS) $(BENCH_PROGRAMS) build/bin/promtool ## Lint, type check and run every test (as root)
	$(Q)$(SUDO) env PATH="$$PATH" $(DENO) task --quiet test $(TESTS)
	@echo "Kernels covered: $$(uname -r), which runs here; make test-kernels covers Debian's"

# KERNELS="5.10 6.1" chooses kernels, SUBJECTS="flows top" tests, UPDATE=1 writes tests/kernels/expected.json anew.
.PHONY: test-kernels
test-kernels: $(.DEFAULT_GOAL) build/stamps/newest-clang build/stamps/kernel-test-packages-$(ARCH) ## Boot Debian's kernels in qemu and test on each, or KERNELS="6.1 6.12" (as root)
	$(Q)$(SUDO) env PATH="$$PATH" KERNELS="$(KERNELS)" SUBJECTS="$(SUBJECTS)" ARCH="$(MACHINE_$(ARCH))" UPDATE="$(UPDATE)" CI="$(CI)" \
		$(DENO) run --quiet --no-prompt --allow-read --allow-write --allow-env --allow-run --allow-ffi --allow-sys tests/kernels/run.ts

# The newest clang that this machine's apt has compiles the same programs; both have to load.
build/stamps/newest-clang: $(BPF_OBJECTS) $(wildcard bpf/*.[ch])
	$(Q)tools/build_newest build/bpf-newest $(BPF_FLAGS)
	$(Q)touch $@

.PHONY: kernel-tables
kernel-tables: | $(DENO) ## Write the tables of kernels in README.md and ARCHITECTURE.md from tests/kernels/expected.json
	$(Q)$(RUN) --allow-write=README.md,ARCHITECTURE.md tools/kernel_table.ts

.PHONY: reference
reference: native ebpfmon ## Write the tables of docs/reference.md from the program's help and metrics
	$(Q)$(RUN) --allow-run=./ebpfmon --allow-write=docs tools/reference.ts

.PHONY: lint
lint: build/stamps/node_modules build/stamps/layouts build/stamps/test-packages ## Check types, style and format
	$(Q)$(DENO) check --quiet .
	$(Q)$(DENO) lint --quiet
	$(Q)$(DENO) fmt --quiet --check
	$(Q)clang-format --dry-run -Werror $(C_SOURCES)

.PHONY: fmt
fmt: build/stamps/test-packages | $(DENO) ## Format the code
	$(Q)$(DENO) fmt --quiet
	$(Q)clang-format -i $(C_SOURCES)

.PHONY: bench
bench: native ebpfmon $(TEST_OBJECTS) $(BENCH_OBJECTS) $(BENCH_PROGRAMS) build/stamps/test-packages build/stamps/bench-packages ## Run the benches, or BENCH="name..." (as root)
	$(Q)$(SUDO) env PATH="$$PATH" $(DENO) task bench $(BENCH)

build/stamps/test-packages: tools/install_packages Makefile
	$(Q)mkdir -p $(@D)
	$(Q)tools/install_packages $(TEST_PACKAGES)
	$(Q)touch $@

build/stamps/kernel-test-packages-%: tools/install_packages Makefile
	$(Q)mkdir -p $(@D)
	$(Q)tools/install_packages $(KERNEL_TEST_PACKAGES) $(KERNEL_TEST_PACKAGES_$*)
	$(Q)touch $@

build/stamps/bench-packages: tools/install_packages Makefile
	$(Q)mkdir -p $(@D)
	$(Q)tools/install_packages $(BENCH_PACKAGES)
	$(Q)touch $@

build/bin/promtool: tools/install_promtool
	$(Q)tools/install_promtool $@

##@ Install

# With DESTDIR, for building packages: no group, no capabilities, which are the package's own business.
.PHONY: install
install: native ebpfmon ## Install below PREFIX (/usr/local), with a systemd unit and capabilities instead of root
	$(Q)$(SUDO) env DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" packaging/install

.PHONY: uninstall
uninstall: ## Remove what install made
	$(Q)$(SUDO) env DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" packaging/uninstall

##@ Help

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
