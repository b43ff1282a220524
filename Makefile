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

comma := ,

# V=1 shows the commands themselves.
say = $(if $(V),,@printf '%-7s %s\n' $(1) $(2);)

.PHONY: all help image iso usb run test quick lint fresh format clean distclean
all: image

help:
	@echo "make            the image, $(BUILD)/corbel.elf (DEBUG=1: with stack canaries, $(BUILD)/debug/corbel.elf)"
	@echo "make iso        $(BUILD)/corbel.iso: Corbel with a Linux VM and a small neighbour (BIOS, UEFI and USB sticks)"
	@echo "make run        boots that ISO on an emulator, its serial port on this terminal (RUN='--cpus 2 ...')"
	@echo "make usb DEV=/dev/sdX   a USB stick whose VMs any computer can edit (asks first)"
	@echo "make test       everything below up to system and the quick bench, with a total (NESTED=1: and test-nested-quick)"
	@echo "make quick      some of each of these: two or three minutes on two CPUs"
	@echo "make lint       layers, sizes, format, scripts"
	@echo "make unit       unit tests (T=test_name for one)"
	@echo "make fuzz       fuzzing, FUZZ_SECONDS for each target (default 8; T=fuzz_name for one)"
	@echo "make coverage   what unit tests and fuzzers reach, and what they never call (FUZZ_SECONDS, T=name for some)"
	@echo "make guests     small guests, each proves one behaviour (T=name for one, MODELS='...' for CPU models)"
	@echo "make guests-all the same on CPUs that lack this or that, VARIANTS='...' for some (tests/guests/run -h): hours"
	@echo "make system     boots of the real ISO, typed at as a person would (T=name for one)"
	@echo "make isolation  Linux beside hostile VMs, and a thousand lives of a VM: a quarter of an hour"
	@echo "make devices    a balloon, disks under load, ports of a switch, the guest agent, at length: a quarter of an hour"
	@echo "make linux-matrix       Debian's kernels (KERNELS='cloud generic rt pvh memtest') on CPU models (MODELS='...'), or with"
	@echo "                        SMP='4/2 8/1' the load for 4 vCPUs on 2 CPUs and 8 on 1: hours"
	@echo "make firmware-matrix    Debian on a disk by SeaBIOS and by OVMF, and other systems: hours (T=name for one)"
	@echo "make test-nested        Corbel under KVM under Linux under Bochs: an hour (T=name for one case)"
	@echo "make test-nested-quick  the self-test and Linux of it: a few minutes"
	@echo "make bench      cost of the round trips, sizes, exits of a Linux boot (QUICK=1: without that)"
	@echo "make bench-io   cost of a disk's requests, and of a network, to a whole Linux (T=disk, T=network)"
	@echo "make fresh      run and test in a Debian 12 made new (as root): an hour or two"
	@echo "make format     clang-format on every source file"
	@echo "make clean      removes $(BUILD)/ but the downloads (distclean: those too)"

# ---- sources -------------------------------------------------------------------------------------------------------
# Whether a file is pure is seen from its folder: what lies in these touches only memory, and runs on the host too.
VM_DIRS := vm vm/cpu vm/apic vm/emulate vm/config vm/sched
PURE_DIRS := lib $(VM_DIRS) exits drivers/virt drivers/virt/legacy drivers/virt/pci drivers/virt/virtio drivers/virt/block drivers/virt/net drivers/virt/stream loaders monitor \
             vmx/policy vmx/check mm/tables control/state boot/info arch/x86_64/policy drivers/host/acpi drivers/host/text drivers/host/time
MACHINE_DIRS := boot control arch/x86_64 mm vmx drivers/host/platform drivers/host/console
PURE_ALL := $(sort $(wildcard $(addsuffix /*.c,$(PURE_DIRS))))

# offsets.c files are compiled for their constants alone (see "offsets" below).
OFFSETS := $(wildcard $(addsuffix /offsets.c,$(MACHINE_DIRS)))
MACHINE := $(filter-out $(OFFSETS),$(wildcard $(addsuffix /*.c,$(MACHINE_DIRS))))
ASSEMBLY := $(wildcard $(addsuffix /*.asm,$(MACHINE_DIRS)))
# Data for guests, the same for the image and for the host.
PURE_ASSEMBLY := $(wildcard $(addsuffix /*.asm,$(PURE_DIRS)))

# ---- the image -----------------------------------------------------------------------------------------------------
# The image is linked at its physical address below 2 GiB: the small code model reaches all of it.
MODEL := -mcmodel=small
CANARIES := $(if $(DEBUG),-fstack-protector-strong -mstack-protector-guard=global,-fno-stack-protector)
TARGET_CFLAGS := -std=c11 -O2 -g -I. -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic $(CANARIES) \
                 $(MODEL) -fcf-protection=none -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
                 $(WARNINGS) $(if $(DEBUG),-DDEBUG) $(if $(COUNT),-DCOUNT)
TARGET_LDFLAGS := -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
                  --build-id=none --fatal-warnings

PURE_OBJECTS := $(PURE_ALL:%.c=$(OUT)/target/%.o) $(PURE_ASSEMBLY:%=$(OUT)/target/%.o)
MACHINE_OBJECTS := $(MACHINE:%.c=$(OUT)/target/%.o) $(ASSEMBLY:%=$(OUT)/target/%.o)
# Others add generated objects here.
IMAGE_OBJECTS := $(MACHINE_OBJECTS) $(PURE_OBJECTS) $(OUT)/target/font.o $(OUT)/target/selftest.o

image:
	@tools/deps --check build
	@$(MAKE) $(quietly) $(IMAGE)

$(OUT)/target/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TARGET_CFLAGS) -MMD -MP -c $< -o $@

# What an operator reads, and what is done once before a guest runs, is made small rather than fast.
SMALL_DIRS := boot drivers/host loaders monitor vm/config vmx/check vmx/policy
# So is what no frame passes and no VM is looked after by all the time; each packet of a stream wakes somebody, who costs more.
SMALL_FILES := $(filter-out $(addprefix control/,agents.c consoles.c domain.c networks.c operator.c vms.c watchdog.c),$(wildcard control/*.c control/state/*.c)) \
               $(wildcard drivers/virt/stream/*.c) lib/fields.c lib/json.c lib/log.c lib/print.c lib/stream.c vm/debugger.c \
               vm/cpu/cpuid_leaves.c vm/emulate/emulate_vector.c exits/dr.c exits/exception.c exits/task.c exits/task_segments.c mm/tables/frames.c \
               arch/x86_64/machine_check.c vmx/ram_pages.c \
               vmx/setup.c $(addprefix drivers/virt/,board.c board_pci.c board_report.c legacy/vflash.c legacy/vfwcfg.c legacy/vi8042.c \
               legacy/vrtc.c virtio/virtio_balloon.c virtio/virtio_console.c virtio/virtio_net_control.c virtio/virtio_vsock.c)
$(SMALL_DIRS:%=$(OUT)/target/%/%.o) $(SMALL_FILES:%.c=$(OUT)/target/%.o): TARGET_CFLAGS += -Os

# The run loop counts each instruction: no padding where it loops, and the world switch leaves no RBP.
$(OUT)/target/vmx/run.o: TARGET_CFLAGS += -fno-align-loops -fno-align-jumps -fno-align-labels -fomit-frame-pointer

# GCC would otherwise see memcpy() in the loop of memcpy() and call it.
$(OUT)/target/lib/string.o: TARGET_CFLAGS += -fno-tree-loop-distribute-patterns

$(OUT)/target/%.asm.o: %.asm $(OUT)/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -g -F dwarf -I $(OUT)/ -I ./ -Werror -MD $(@:.o=.d) -MP $< -o $@

# The guests' DSDT, in two forms: see loaders/dsdt.asl.
$(BUILD)/dsdt-uarts%.aml: loaders/dsdt.asl vm/platform.h
	@mkdir -p $(@D)
	$(call say,IASL,$@)$(CC) -E -P -x c -ffreestanding -I. -imacros vm/platform.h -DUARTS=$* $< > $(@:.aml=.dsl) && \
		iasl -we -p $(@:.aml=) $(@:.aml=.dsl) > $(@:.aml=.log) || { cat $(@:.aml=.log); exit 1; }

$(OUT)/target/loaders/acpi.asm.o $(BUILD)/host/loaders/acpi.asm.o: $(BUILD)/dsdt-uarts1.aml $(BUILD)/dsdt-uarts2.aml

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

$(IMAGE): $(IMAGE_OBJECTS) $(OUT)/target/symbols.o linker.ld tools/symbols | $(BUILD)/vmsconf
	$(call say,LD,$@)$(LD) $(TARGET_LDFLAGS) -T linker.ld -Map=$(@:.elf=.map) -o $@.new $(IMAGE_OBJECTS) $(OUT)/target/symbols.o
	@tools/symbols --check $(OUT)/corbel-bare.elf $@.new
	@mv $@.new $@

# vmsconf: the parser of vms.conf for tools/mkiso and tools/mkusb.
VMSCONF_OBJECTS := $(patsubst %.c,$(BUILD)/vmsconf.objects/%.o,tools/vmsconf.c loaders/files.c lib/notes.c lib/print.c lib/span.c lib/suggest.c lib/uuid.c \
                     vm/cpu/feature.c $(wildcard vm/config/*.c))

$(BUILD)/vmsconf.objects/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu11 -O2 -I. $(WARNINGS) -MMD -MP -c $< -o $@

$(BUILD)/vmsconf: $(VMSCONF_OBJECTS)
	$(call say,LD,$@)$(CC) -o $@ $^

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

# Debian on a disk, for VMs with a firmware. It needs the network, and some minutes.
$(GUEST)/debian.img: tools/mkdisk
	tools/mkdisk -o $@

$(GUEST)/debian-generic.img: tools/mkdisk
	tools/mkdisk -k generic -o $@

# The files of one that can install itself on another disk.
$(GUEST)/debian.tar: tools/mkdisk
	tools/mkdisk -o $@ -P "grub2-common grub-pc-bin grub-efi-amd64-bin efibootmgr fdisk dosfstools"

$(GUEST)/qmp-shell:
	tools/fetch-guest $(GUEST) qmp-shell

$(GUEST)/qemu-ga:
	tools/fetch-guest $(GUEST) agent

$(GUEST)/grub.iso $(GUEST)/ipxe.iso &:
	tools/fetch-guest $(GUEST) loaders

$(GUEST)/installer-linux $(GUEST)/installer-initrd &:
	tools/fetch-guest $(GUEST) installer

$(GUEST)/hello.deb:
	tools/fetch-guest $(GUEST) hello

$(GUEST)/gnumach.gz:
	tools/fetch-guest $(GUEST) mach

$(GUEST)/memtest86+:
	tools/fetch-guest $(GUEST) memtest

# Drivers that Debian's kernel has as modules, in the order in which they need each other: the guest loads them by name.
GUEST_MODULES := virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_balloon virtio-rng virtio_console failover net_failover virtio_net
with_modules = set --; number=10; for module in $(1); do \
		set -- "$$@" "$$(find $(GUEST)/tree/*cloud* -name $$module.ko | head -n 1)=lib/modules/$$number-$$module.ko"; \
		number=$$((number + 1)); \
	done
$(GUEST)/initrd.gz: $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@$(call with_modules,$(GUEST_MODULES)); tools/mkinitramfs $@ $< "$$@"

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

# ---- tests ---------------------------------------------------------------------------------------------------------
include $(addprefix tests/,unit.mk fuzz.mk guests.mk system.mk nested.mk bench.mk)

lint: deps-lint
	@$(MAKE) $(quietly) $(PURE_OBJECTS) $(OUT)/target/font.o
	@tools/lint -o $(OUT)/target $(PURE_ALL) $(PURE_ASSEMBLY)

TEST_PARTS := lint unit fuzz guests system 'bench QUICK=1' $(if $(NESTED),test-nested-quick)
test: deps-all
	@tools/test-all $(TEST_PARTS)

# For people who change a line: five minutes on two CPUs, once it is built.
quick: deps-all
	@tools/test-all lint unit "fuzz FUZZ_SECONDS=2" "guests T='faults modes' MODELS=corei7_skylake_x CPUS=1" \
		"system T='builtin_guest device_paths documented'"

# Not a part of `test`: it is that, from nothing.
fresh: deps-fresh
	@tools/fresh

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
