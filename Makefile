# Corbel: `make help` lists the targets.
# Everything that is built goes to build/. Pure code is compiled twice: for the image and, with sanitizers, for tests.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
BUILD := build
CC := gcc
LD := ld
NASM := nasm
HOSTCC := clang

# DEBUG=1 builds a second image, with stack canaries, beside the first; COUNT=1 the one that `bench` counts accesses with.
OUT := $(BUILD)$(if $(DEBUG),/debug)$(if $(COUNT),/count)
IMAGE := $(OUT)/corbel.elf

WARNINGS := -Wall -Wextra -Wno-unused-parameter -Wconversion -Wno-sign-conversion -Wswitch-enum -Wundef -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Werror

# What is built is built by a make below, with as many jobs as there are CPUs (JOBS=1, or make -j, for another number).
JOBS := $(shell nproc)
quietly = $(if $(V),--no-print-directory,-s) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# The names that T= asks for, or all of $(1).
chosen = $(foreach name,$(filter-out $(1),$(T)),$(error T=$(name): there is none of this name; there are $(1)))$(or $(T),$(1))

# V=1 shows the commands themselves.
say = $(if $(V),,@printf '%-7s %s\n' $(1) $(2);)

.PHONY: all help image iso usb run test unit fuzz guests guests-all system isolation linux-matrix nested test-nested test-nested-quick lint bench format clean distclean
all: image

help:
	@echo "make            the image, $(BUILD)/corbel.elf (DEBUG=1: with stack canaries, $(BUILD)/debug/corbel.elf)"
	@echo "make iso        $(BUILD)/corbel.iso: Corbel with one Linux VM (BIOS, UEFI and USB sticks)"
	@echo "make run        boots that ISO on an emulator, its serial port on this terminal (RUN='--cpus 2 ...')"
	@echo "make usb DEV=/dev/sdX   a USB stick whose VMs any computer can edit (asks first)"
	@echo "make test       everything below up to system, with a total (NESTED=1: and test-nested-quick)"
	@echo "make lint       layers, sizes, format, scripts"
	@echo "make unit       unit tests (T=test_name for one)"
	@echo "make fuzz       fuzzing, FUZZ_SECONDS for each target (default 8; T=fuzz_name for one)"
	@echo "make guests     small guests, each proves one behaviour (T=name for one, MODELS='...' for CPU models)"
	@echo "make guests-all the same on CPUs that lack this or that, VARIANTS='...' for some (tests/guests/run -h): hours"
	@echo "make system     boots of the real ISO, typed at as a person would (T=name for one)"
	@echo "make isolation  Linux beside hostile VMs, and a thousand lives of a VM: a quarter of an hour"
	@echo "make linux-matrix       Debian's kernels (KERNELS='cloud generic rt pvh memtest') on CPU models (MODELS='...'), or with"
	@echo "                        SMP='4/2 8/1' the load for 4 vCPUs on 2 CPUs and 8 on 1: hours"
	@echo "make test-nested        Corbel under KVM under Linux under Bochs: half an hour (T=name for one case)"
	@echo "make test-nested-quick  the self-test and Linux of it: a few minutes"
	@echo "make bench      cost of the round trips, sizes, exits of a Linux boot (QUICK=1: without that)"
	@echo "make format     clang-format on every source file"
	@echo "make clean      removes $(BUILD)/ but the downloads (distclean: those too)"

# ---- sources -------------------------------------------------------------------------------------------------------
# Pure files touch only memory and run on the host too; the rest is the machine half.
PURE_DIRS := lib vm exits drivers/virt loaders monitor
MACHINE_DIRS := boot arch/x86_64 mm vmx drivers/host
PURE := $(wildcard $(addsuffix /*.c,$(PURE_DIRS))) $(wildcard $(addsuffix /pure_*.c,$(MACHINE_DIRS)))
PURE_EXTRA := $(wildcard boot/bootinfo.c boot/last_words.c boot/memory_map.c boot/numbering.c boot/options.c vmx/capabilities.c vmx/controls.c vmx/check.c vmx/report.c mm/ept.c mm/frames.c arch/x86_64/mca.c arch/x86_64/mtrr.c \
                drivers/host/acpi.c drivers/host/acpi_tables.c drivers/host/aml.c drivers/host/framebuffer.c \
                drivers/host/keyboard.c drivers/host/log.c drivers/host/screen.c drivers/host/calibrate.c drivers/host/rtc_date.c)
PURE_EXTRA += $(wildcard vmx/choice.c vmx/required.c vmx/fields.c vmx/speculation.c vmx/check_*.c vmx/report_*.c mm/ept_*.c)
PURE_ALL := $(sort $(PURE) $(PURE_EXTRA))

# offsets.c files are compiled for their constants alone (see "offsets" below).
OFFSETS := $(wildcard $(addsuffix /offsets.c,$(MACHINE_DIRS)))
MACHINE := $(filter-out $(PURE_ALL) $(OFFSETS),$(wildcard $(addsuffix /*.c,$(MACHINE_DIRS))))
ASSEMBLY := $(wildcard $(addsuffix /*.asm,$(MACHINE_DIRS)))

# ---- the image -----------------------------------------------------------------------------------------------------
# The image is linked at its physical address below 2 GiB: the small code model reaches all of it.
MODEL := -mcmodel=small
CANARIES := $(if $(DEBUG),-fstack-protector-strong -mstack-protector-guard=global,-fno-stack-protector)
TARGET_CFLAGS := -std=c11 -O2 -g -I. -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic $(CANARIES) \
                 $(MODEL) -fcf-protection=none -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
                 $(WARNINGS) $(if $(DEBUG),-DDEBUG) $(if $(COUNT),-DCOUNT)
TARGET_LDFLAGS := -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
                  --build-id=none --fatal-warnings

PURE_OBJECTS := $(PURE_ALL:%.c=$(OUT)/target/%.o)
MACHINE_OBJECTS := $(MACHINE:%.c=$(OUT)/target/%.o) $(ASSEMBLY:%=$(OUT)/target/%.o)
# Others add generated objects here.
IMAGE_OBJECTS := $(MACHINE_OBJECTS) $(PURE_OBJECTS) $(OUT)/target/font.o $(OUT)/target/selftest.o

image: deps-build
	@$(MAKE) $(quietly) $(IMAGE)

$(OUT)/target/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TARGET_CFLAGS) -MMD -MP -c $< -o $@

# What an operator reads, and what is done once before a guest runs, is made small rather than fast.
$(OUT)/target/monitor/%.o $(OUT)/target/loaders/%.o: TARGET_CFLAGS += -Os

# The run loop counts each instruction: no padding where it loops, and the world switch leaves no RBP.
$(OUT)/target/vmx/run.o: TARGET_CFLAGS += -fno-align-loops -fno-align-jumps -fno-align-labels -fomit-frame-pointer

# GCC would otherwise see memcpy() in the loop of memcpy() and call it.
$(OUT)/target/lib/string.o: TARGET_CFLAGS += -fno-tree-loop-distribute-patterns

$(OUT)/target/%.asm.o: %.asm $(OUT)/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -g -F dwarf -I $(OUT)/ -I ./ -Werror -MD $(@:.o=.d) -MP $< -o $@

# offsets: constants of C structures for assembly. Each line `OFFSET(NAME, value)` becomes `%define NAME value`.
$(OUT)/offsets.inc: $(OFFSETS) tools/offsets
	@mkdir -p $(@D)
	$(call say,OFFSETS,$@)tools/offsets $(CC) $(TARGET_CFLAGS) -MMD -MP -- $@ $(OFFSETS)

# font: the glyphs of the framebuffer's text, from Debian's console-setup-linux (fetched if it is not installed).
$(BUILD)/font.c: tools/font2c
	@mkdir -p $(@D)
	$(call say,FONT,$@)tools/font2c /usr/share/consolefonts/Lat15-Fixed16.psf.gz $@

$(OUT)/target/font.o: $(BUILD)/font.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TARGET_CFLAGS) -MMD -MP -c $< -o $@

# selftest: the built-in guest, as a file inside the image.
$(OUT)/target/selftest.o: $(BUILD)/guests/selftest.elf
	@mkdir -p $(@D)
	$(call say,INCBIN,$<)printf '%s\n' 'section .rodata align=16' 'global selftest_image, selftest_image_end' \
		'selftest_image: incbin "$<"' 'selftest_image_end:' > $(@:.o=.asm) && $(NASM) -f elf64 -o $@ $(@:.o=.asm)

# symbols: the image is linked without its symbol table, and again with it; the table lies last, so nothing moves.
$(OUT)/corbel-bare.elf: $(IMAGE_OBJECTS) $(OUT)/target/symbols-none.o linker.ld
	$(call say,LD,$@)$(LD) $(TARGET_LDFLAGS) -T linker.ld -o $@ $(IMAGE_OBJECTS) $(OUT)/target/symbols-none.o

$(OUT)/symbols-none.c: tools/symbols
	@mkdir -p $(@D)
	@tools/symbols > $@

$(OUT)/symbols.c: $(OUT)/corbel-bare.elf tools/symbols
	@tools/symbols $< > $@

$(OUT)/target/symbols.o $(OUT)/target/symbols-none.o: $(OUT)/target/%.o: $(OUT)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TARGET_CFLAGS) -MMD -MP -c $< -o $@

$(IMAGE): $(IMAGE_OBJECTS) $(OUT)/target/symbols.o linker.ld tools/symbols
	$(call say,LD,$@)$(LD) $(TARGET_LDFLAGS) -T linker.ld -Map=$(@:.elf=.map) -o $@.new $(IMAGE_OBJECTS) $(OUT)/target/symbols.o
	@tools/symbols --check $(OUT)/corbel-bare.elf $@.new
	@mv $@.new $@

# ---- the ISO, and a person's run of it -----------------------------------------------------------------------------
GUEST := $(BUILD)/guest
ISO := $(OUT)/corbel.iso

$(GUEST)/vmlinuz-cloud $(GUEST)/busybox &:
	tools/deps iso
	tools/fetch-guest $(GUEST)

$(GUEST)/vmlinuz-generic $(GUEST)/vmlinuz-rt: $(GUEST)/vmlinuz-%:
	tools/fetch-guest $(GUEST) $*

$(GUEST)/vmlinuz-pvh: $(GUEST)/vmlinuz-cloud tools/extract-vmlinux
	tools/extract-vmlinux $< $@

$(GUEST)/memtest86+:
	tools/fetch-guest $(GUEST) memtest

$(GUEST)/initrd.gz: $(GUEST)/busybox tools/mkinitramfs tools/guest-init
	tools/mkinitramfs $@ $<

$(ISO): $(IMAGE) $(GUEST)/initrd.gz $(GUEST)/vmlinuz-cloud tools/mkiso tools/vms.conf grub.cfg
	tools/mkiso -o $@ -k $(IMAGE) -c tools/vms.conf vmlinuz=$(GUEST)/vmlinuz-cloud $(GUEST)/initrd.gz
	@ls -l $@

iso: deps-iso
	@$(MAKE) $(quietly) $(ISO)

run: deps-run
	@$(MAKE) $(quietly) $(ISO)
	tools/run $(RUN) $(ISO)

# DEV=/dev/sdX, or the name of a file for the image of a stick. tools/mkusb asks before it writes to a disk.
usb: deps-iso
	@$(MAKE) $(quietly) $(IMAGE) $(GUEST)/initrd.gz $(GUEST)/vmlinuz-cloud
	@tools/mkusb $(if $(DEV),-o $(DEV)) -k $(IMAGE) -c tools/vms.conf vmlinuz=$(GUEST)/vmlinuz-cloud $(GUEST)/initrd.gz

# What a part needs from the system; silent when nothing is missing.
deps-%:
	@tools/deps $*

# ---- unit tests ----------------------------------------------------------------------------------------------------
HOST_PURE := $(filter-out lib/string.c,$(PURE_ALL))
HOST_CFLAGS := -std=c11 -g -O1 -I. $(WARNINGS) -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
HOST_OBJECTS := $(HOST_PURE:%.c=$(BUILD)/host/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/host/libpure.a: $(HOST_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

# What some tests share: each takes what it needs.
$(BUILD)/host/libsupport.a: $(patsubst %.c,$(BUILD)/host/%.o,$(wildcard tests/unit/*_support.c))
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/unit/%: $(BUILD)/host/tests/unit/%.o $(BUILD)/host/tests/unit/support.o $(BUILD)/host/libsupport.a $(BUILD)/host/libpure.a
	@mkdir -p $(@D)
	$(call say,HOSTLD,$@)$(HOSTCC) $(HOST_CFLAGS) $^ -o $@ -lcmocka -lZydis -lZycore $(UNIT_LIBRARIES)

$(BUILD)/unit/test_emulate_oracle: UNIT_LIBRARIES := -lunicorn

unit: deps-unit
	@$(MAKE) $(quietly) $(addprefix $(BUILD)/unit/,$(call chosen,$(UNIT_TESTS)))
	@tests/unit/run $(addprefix $(BUILD)/unit/,$(call chosen,$(UNIT_TESTS)))

# ---- fuzzing -------------------------------------------------------------------------------------------------------
FUZZ_SECONDS ?= 8
FUZZ_CFLAGS := $(HOST_CFLAGS) -O2 -D_DEFAULT_SOURCE
FUZZ_OBJECTS := $(HOST_PURE:%.c=$(BUILD)/fuzz/objects/%.o)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/fuzz/objects/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)$(HOSTCC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

# What the targets share (tests/fuzz/*.c that are no targets) is linked into each.
$(BUILD)/fuzz/libpure.a: $(FUZZ_OBJECTS) \
        $(patsubst %.c,$(BUILD)/fuzz/objects/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/objects/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libpure.a
	$(call say,FUZZLD,$@)$(HOSTCC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ -o $@ -lZydis -lZycore

fuzz: deps-fuzz
	@$(MAKE) $(quietly) $(addprefix $(BUILD)/fuzz/,$(call chosen,$(FUZZ_TARGETS)))
	@tests/fuzz/run $(FUZZ_SECONDS) $(addprefix $(BUILD)/fuzz/,$(call chosen,$(FUZZ_TARGETS)))

# ---- small guests --------------------------------------------------------------------------------------------------
# Each tests/guests/NAME.c or NAME.asm, and all of selftest/, becomes a Multiboot kernel with the help of
# tests/guests/lib/. The code is 64-bit; the file is ELF32, as Multiboot asks for. A NAME.asm that says how it is loaded
# (`; vm: boot = ...`) is a binary of its own.
GUEST_BINARIES := $(notdir $(basename $(shell grep -ls '^; vm: boot' tests/guests/*.asm)))
GUEST_NAMES := selftest $(sort $(basename $(notdir $(wildcard tests/guests/*.c tests/guests/*.asm))))
guest_files = $(foreach name,$(1),$(BUILD)/guests/$(name).$(if $(filter $(name),$(GUEST_BINARIES)),bin,elf))
GUEST_LIB := $(patsubst %,$(BUILD)/guests/objects/%.o,$(wildcard tests/guests/lib/*.c tests/guests/lib/*.asm) \
               lib/print.c lib/string.c)
GUEST_CFLAGS := -std=c11 -O2 -g -I. -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-stack-protector -fno-pic \
                -mcmodel=small -fcf-protection=none -fno-asynchronous-unwind-tables $(WARNINGS)

$(BUILD)/guests/objects/lib/string.c.o: GUEST_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/guests/objects/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/guests/objects/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -I ./ -MD $(@:.o=.d) -MP $< -o $@

$(BUILD)/guests/%.elf64: tests/guests/lib/guest.ld $(GUEST_LIB)
	$(call say,LD,$@)$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments $(GUEST_LDFLAGS) \
		-T $< -o $@ $(filter %.o,$^)

define guest_objects
$(BUILD)/guests/$(1).elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,$(wildcard tests/guests/$(1).c tests/guests/$(1).asm))
endef
$(foreach name,$(GUEST_NAMES),$(eval $(call guest_objects,$(name))))
$(BUILD)/guests/examination.elf64: GUEST_LDFLAGS := --defsym=guest_base=0x400000
$(BUILD)/guests/selftest.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,$(wildcard selftest/*.c))
$(BUILD)/guests/costs.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,tests/bench/costs.c tests/bench/choice.c vm/sched.c)
$(BUILD)/guests/neighbour.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,tests/system/neighbour.c tests/system/posing.c)
$(BUILD)/guests/bare.elf64 $(BUILD)/guests/broken.elf64: $(BUILD)/guests/%.elf64: $(BUILD)/guests/objects/tests/nested/%.c.o

$(BUILD)/guests/%.bin: tests/guests/%.asm $(wildcard tests/guests/lib/*.inc)
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f bin -o $@ -I ./ -MD $(@:.bin=.d) -MP $<

# The same guest for a machine without Corbel.
$(BUILD)/guests/%.bare: $(BUILD)/guests/%.bin tests/guests/lib/bare.inc
	$(call say,NASM,$@)$(NASM) -f bin -d 'IMAGE="$<"' -o $@ tests/guests/lib/bare.inc

$(BUILD)/guests/%.elf: $(BUILD)/guests/%.elf64
	@objcopy --strip-debug -O elf32-i386 $< $@

# ---- boots: guests on several CPU models, the real ISO, costs ------------------------------------------------------
guests: deps-guests
	@$(MAKE) $(quietly) $(IMAGE) $(call guest_files,$(call chosen,$(GUEST_NAMES))) \
		$(patsubst %.bin,%.bare,$(filter %.bin,$(call guest_files,$(call chosen,$(GUEST_NAMES)))))
	@tests/guests/run $(if $(MODELS),-m $(MODELS)) $(if $(CPUS),-c $(CPUS)) $(if $(VARIANTS),-v '$(VARIANTS)') \
		$(call guest_files,$(call chosen,$(GUEST_NAMES)))

# Each guest on each CPU model with an emulator that faults at unknown MSRs, and without each feature that Corbel can do
# without. Not a part of `test`: it takes hours.
guests-all: VARIANTS ?= all
guests-all: guests

# A program for Linux, in an initramfs of its own.
$(BUILD)/system/shootdown $(BUILD)/system/timekeeper: $(BUILD)/system/%: tests/system/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -static -pthread -s $< -o $@

$(BUILD)/system/initrd-smp.gz: $(BUILD)/system/shootdown $(GUEST)/busybox tools/mkinitramfs tools/guest-init
	tools/mkinitramfs $@ $(GUEST)/busybox $<=bin/shootdown

$(BUILD)/system/initrd-timekeeper.gz: $(BUILD)/system/timekeeper $(GUEST)/busybox tools/mkinitramfs tools/guest-init
	tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun

SYSTEM_FILES := $(GUEST)/initrd.gz $(GUEST)/vmlinuz-cloud $(BUILD)/guests/neighbour.elf $(BUILD)/system/initrd-smp.gz \
	$(BUILD)/system/initrd-timekeeper.gz

system: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(SYSTEM_FILES)
	@tests/system/run $(T)

# Linux beside hostile VMs, and a thousand lives of a VM: a quarter of an hour, and not a part of `test`.
isolation:
	@CYCLES=1000 $(MAKE) --no-print-directory system T="isolation_linux monitor_cycles"

# Debian's kernels on each CPU model, and with many vCPUs. Not a part of `test`: it takes hours.
KERNELS := cloud generic
comma := ,
commas = $(subst $() ,$(comma),$(strip $(1)))

linux-matrix: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(SYSTEM_FILES) $(patsubst %,$(GUEST)/vmlinuz-%,$(filter-out memtest,$(KERNELS))) \
		$(if $(filter memtest,$(KERNELS)),$(GUEST)/memtest86+)
	@tests/system/matrix -k $(call commas,$(KERNELS)) $(if $(MODELS),-m $(call commas,$(MODELS))) $(if $(SMP),-s $(call commas,$(SMP)))

# KVM checks what Bochs lets pass. Not a part of `test`: it takes too long.
test-nested: deps-nested
	@$(MAKE) $(quietly) $(IMAGE) $(GUEST)/initrd.gz $(GUEST)/vmlinuz-cloud $(addprefix $(BUILD)/guests/,costs.elf bare.elf broken.elf)
	@tests/nested/run $(T)

nested: test-nested

# The quick part of it: some two minutes; more than 12 count as a failure.
test-nested-quick:
	@timeout 720 $(MAKE) --no-print-directory test-nested T='selftest linux'

# A Linux boot takes two minutes; QUICK=1 does without.
BENCH_LINUX := $(if $(QUICK),,$(GUEST)/vmlinuz-cloud $(GUEST)/initrd.gz)
bench: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(BUILD)/guests/costs.elf $(BUILD)/guests/neighbour.elf $(BENCH_LINUX)
	@$(MAKE) $(quietly) COUNT=1 $(BUILD)/count/corbel.elf
	-@tests/bench/sizes $(IMAGE)
	-@tests/bench/idle
	@tests/bench/run $(BUILD)/guests/costs.elf $(BUILD)/count/corbel.elf $(BENCH_LINUX)

# ---- the rest ------------------------------------------------------------------------------------------------------
lint: deps-lint
	@$(MAKE) $(quietly) $(PURE_OBJECTS) $(OUT)/target/font.o
	@tools/lint -o $(OUT)/target $(PURE_ALL)

TEST_PARTS := lint unit fuzz guests system $(if $(NESTED),test-nested-quick)
test: deps-all
	@tools/test-all $(TEST_PARTS)

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

# Downloads are kept; distclean drops them too.
clean:
	@mkdir -p $(BUILD)
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name guest -exec rm -rf {} +

distclean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -path $(GUEST) -prune -o -type f -name '*.d' -print 2>/dev/null)
.SECONDARY:
.DELETE_ON_ERROR:
