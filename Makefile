# Corbel: `make help` lists the targets.
# Everything that is built goes to build/. Pure code is compiled twice: for the image and, with sanitizers, for tests.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
BUILD := build
CC := gcc
HOSTCC := clang
HOSTCC_FUZZ := clang

WARNINGS := -Wall -Wextra -Wconversion -Wno-sign-conversion -Wswitch-enum -Wundef -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Werror

# ---- sources -------------------------------------------------------------------------------------------------------
# Pure files touch only memory and run on the host too; the rest is the machine half.
PURE_DIRS := lib vm exits drivers/virt loaders monitor
PURE := $(wildcard $(addsuffix /*.c,$(PURE_DIRS))) $(wildcard $(addsuffix /pure_*.c,boot vmx mm drivers/host))
PURE_EXTRA := $(wildcard boot/bootinfo.c vmx/capabilities.c vmx/controls.c vmx/check.c vmx/report.c mm/ept.c \
                drivers/host/acpi.c drivers/host/framebuffer.c)
PURE_ALL := $(sort $(PURE) $(PURE_EXTRA))

HOST_PURE := $(filter-out lib/string.c,$(PURE_ALL))
HOST_CFLAGS := -std=c11 -g -O1 -I. $(WARNINGS) -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
HOST_OBJECTS := $(HOST_PURE:%.c=$(BUILD)/host/%.o)

.PHONY: all help unit clean
all: help

help:
	@echo "make unit      unit tests (T=name for one)"

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/host/libpure.a: $(HOST_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

# ---- unit tests ----------------------------------------------------------------------------------------------------
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

$(BUILD)/unit/%: $(BUILD)/host/tests/unit/%.o $(BUILD)/host/tests/unit/support.o $(BUILD)/host/libpure.a
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_CFLAGS) $^ -o $@ -lcmocka -lZydis -lZycore

T ?= $(UNIT_TESTS)
unit: $(addprefix $(BUILD)/unit/,$(T))
	@failed=0; for t in $^; do $$t || { failed=1; echo "FAILED: $$t"; }; done; exit $$failed

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
