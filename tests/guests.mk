# Small guests and their boots on CPU models: `make guests`, `make guests-all`; the self-test, which the image contains.

.PHONY: guests guests-all

# Each tests/guests/NAME.c or NAME.asm, and all of selftest/, becomes a Multiboot kernel with the help of
# tests/guests/lib/. The code is 64-bit; the file is ELF32, as Multiboot asks for. A NAME.asm that says how it is loaded, or
# what binary it is (`; vm: boot = ...`, `; binary: ...`), is one of its own.
GUEST_BINARIES := $(notdir $(basename $(shell grep -lsE '^; (vm: boot|binary:)' tests/guests/*.asm)))
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
# Where no balloon takes it: what a scrambled descriptor says, as a page's number, lies below.
$(BUILD)/guests/rings.elf64: GUEST_LDFLAGS := --defsym=guest_base=0x2800000
$(BUILD)/guests/selftest.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,$(wildcard selftest/*.c))
$(BUILD)/guests/costs.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,tests/bench/costs.c tests/bench/choice.c tests/bench/disk.c tests/bench/net.c \
        vm/sched/sched.c vm/sched/sched_balance.c)
$(BUILD)/guests/neighbour.elf64: $(patsubst %,$(BUILD)/guests/objects/%.o,tests/system/neighbour.c tests/system/greedy.c \
        tests/system/posing.c tests/system/flooding.c tests/system/keeping.c tests/system/lending.c tests/system/debugged.c)
$(BUILD)/guests/bare.elf64 $(BUILD)/guests/broken.elf64: $(BUILD)/guests/%.elf64: $(BUILD)/guests/objects/tests/nested/%.c.o

$(BUILD)/guests/%.bin: tests/guests/%.asm $(wildcard tests/guests/lib/*.inc)
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f bin -o $@ -I ./ -MD $(@:.bin=.d) -MP $<

# The same guest for a machine without Corbel.
$(BUILD)/guests/%.bare: $(BUILD)/guests/%.bin tests/guests/lib/bare.inc
	$(call say,NASM,$@)$(NASM) -f bin -d 'IMAGE="$<"' -o $@ tests/guests/lib/bare.inc

$(BUILD)/guests/%.elf: $(BUILD)/guests/%.elf64
	@objcopy --strip-debug -O elf32-i386 $< $@

guests: deps-guests
	@$(MAKE) $(quietly) $(IMAGE) $(call guest_files,$(call chosen,$(GUEST_NAMES))) \
		$(patsubst %.bin,%.bare,$(filter %.bin,$(call guest_files,$(call chosen,$(GUEST_NAMES)))))
	@tests/guests/run $(if $(MODELS),-m $(MODELS)) $(if $(CPUS),-c $(CPUS)) $(if $(VARIANTS),-v '$(VARIANTS)') \
		$(call guest_files,$(call chosen,$(GUEST_NAMES)))

# Each guest on each CPU model with an emulator that faults at unknown MSRs, and without each feature that Corbel can do
# without. Not a part of `test`: it takes hours.
guests-all: VARIANTS ?= all
guests-all: guests
