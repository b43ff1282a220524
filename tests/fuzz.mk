# Fuzzers of the pure code, and what tests reach: `make fuzz`, `make coverage`.

.PHONY: fuzz coverage

FUZZ_SECONDS ?= 8
FUZZ_CFLAGS := $(HOST_CFLAGS) -O2 -D_DEFAULT_SOURCE
FUZZ_OBJECTS := $(HOST_PURE:%.c=$(BUILD)/fuzz/objects/%.o) $(PURE_ASSEMBLY:%=$(BUILD)/host/%.o)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/fuzz/objects/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)$(HOSTCC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

# What the targets share (tests/fuzz/*.c that are no targets) is linked into each.
$(BUILD)/fuzz/libpure.a: $(FUZZ_OBJECTS) \
        $(patsubst %.c,$(BUILD)/fuzz/objects/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))
	@rm -f $@
	@ar rcs $@ $^

# The work that a guest's file makes is counted; between the steps of a virtio device or of the switch, a driver changes what is read.
$(addprefix $(BUILD)/fuzz/objects/,loaders/%.o drivers/virt/virtio/%.o drivers/virt/net/%.o drivers/virt/stream/%.o): FUZZ_CFLAGS += -fsanitize-coverage=trace-pc
$(addprefix $(BUILD)/fuzz/,fuzz_virtio fuzz_virtio_net fuzz_vsock fuzz_switch): FUZZ_LDFLAGS := -Wl,--wrap=__sanitizer_cov_trace_pc
$(BUILD)/fuzz/fuzz_loaders: FUZZ_LDFLAGS := $(addprefix -Wl$(comma)--wrap=,__sanitizer_cov_trace_pc __asan_memcpy __asan_memset)

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/objects/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libpure.a
	$(call say,FUZZLD,$@)$(HOSTCC) $(FUZZ_CFLAGS) $(FUZZ_LDFLAGS) -fsanitize=fuzzer $^ -o $@ -lZydis -lZycore

fuzz: deps-fuzz
	@$(call each_built,$(addprefix $(BUILD)/fuzz/,$(call chosen,$(FUZZ_TARGETS)))); tests/fuzz/run $(FUZZ_SECONDS) "$${tests[@]}"

# What unit tests and fuzzers reach, by file, and the functions that nothing called.
coverage: COVERED = $(call chosen,$(UNIT_TESTS) $(FUZZ_TARGETS))
coverage: TESTS = $(addprefix $(BUILD)/coverage/unit/,$(filter test_%,$(COVERED))) $(addprefix $(BUILD)/coverage/fuzz/,$(filter fuzz_%,$(COVERED)))
coverage: deps-coverage
	@$(MAKE) $(quietly) BUILD=$(BUILD)/coverage COVERAGE=1 T= $(TESTS)
	@tools/coverage $(FUZZ_SECONDS) $(TESTS)
