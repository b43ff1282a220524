# Unit tests of the pure code, on the host, with sanitizers: `make unit`.

.PHONY: unit

HOST_PURE := $(filter-out lib/string.c,$(PURE_ALL))
HOST_CFLAGS := $(if $(COVERAGE),-fprofile-instr-generate -fcoverage-mapping) -std=c11 -g -O1 -I. $(WARNINGS) -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
HOST_OBJECTS := $(HOST_PURE:%.c=$(BUILD)/host/%.o) $(PURE_ASSEMBLY:%=$(BUILD)/host/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_CLIENTS := $(patsubst tests/unit/%.py,%,$(wildcard tests/unit/test_*.py))

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/host/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -Werror -MD $(@:.o=.d) -MP $< -o $@

# How much is done under the scheduler's locks is counted.
$(BUILD)/host/vm/sched/%.o: HOST_CFLAGS += -fsanitize-coverage=trace-pc

$(BUILD)/host/libpure.a: $(HOST_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

# What some tests share: each takes what it needs.
$(BUILD)/host/libsupport.a: $(patsubst %.c,$(BUILD)/host/%.o,$(wildcard tests/unit/*_support.c))
	@rm -f $@
	@ar rcs $@ $^

# Which bytes of a struct are padding, GCC alone can tell.
$(BUILD)/host/tests/unit/padding_support.o: HOSTCC := $(CC)
$(BUILD)/host/tests/unit/padding_support.o: HOST_CFLAGS := -std=c11 -g -O1 -I. -Wall -Wextra -Werror

$(BUILD)/unit/%: $(BUILD)/host/tests/unit/%.o $(BUILD)/host/tests/unit/support.o $(BUILD)/host/libsupport.a $(BUILD)/host/libpure.a
	@mkdir -p $(@D)
	$(call say,HOSTLD,$@)$(HOSTCC) $(HOST_CFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@ -lcmocka -lZydis -lZycore $(UNIT_LIBRARIES)

$(addprefix $(BUILD)/unit/,$(filter test_oracle_%,$(UNIT_TESTS))): $(BUILD)/host/tests/unit/oracle.o
$(BUILD)/unit/test_oracle_%: UNIT_LIBRARIES := -lunicorn

# A client of a protocol, and the server that it talks to.
$(BUILD)/unit/test_qmp_client: tests/unit/test_qmp_client.py $(BUILD)/unit/qmp_server
	@install -m 755 $< $@

# Some of the machine half, with memory of the host's.
$(BUILD)/unit/test_services: $(addprefix $(BUILD)/host/control/,session.o streams.o services.o cores.o)
$(BUILD)/unit/test_services: UNIT_LIBRARIES := -Wl,--wrap=frames_allocate,--wrap=frames_free,--defsym=monitor_host=desk_host

# Builds $(1), as the shell's array `tests`. One that does not build fails alone: nothing old is left of it, and the others run.
each_built = tests=($(1)); \
	$(MAKE) $(quietly) -k "$${tests[@]}" || for test in "$${tests[@]}"; do $(MAKE) -q "$$test" || rm -f "$$test"; done

unit: deps-unit
	@$(call each_built,$(addprefix $(BUILD)/unit/,$(call chosen,$(UNIT_TESTS) $(UNIT_CLIENTS)))); tests/unit/run "$${tests[@]}"
