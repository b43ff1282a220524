# What things cost: `make bench`.

.PHONY: bench bench-io

# A Linux boot takes two minutes; QUICK=1 does without.
BENCH_LINUX := $(if $(QUICK),,$(GUEST)/vmlinuz-cloud $(GUEST)/initrd.gz)
bench: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(BUILD)/guests/costs.elf $(BUILD)/guests/neighbour.elf $(BENCH_LINUX)
	@$(MAKE) $(quietly) COUNT=1 $(BUILD)/count/corbel.elf
	@set -o pipefail; { tests/bench/sizes $(IMAGE); tests/bench/idle; \
		tests/bench/run $(BUILD)/guests/costs.elf $(BUILD)/count/corbel.elf $(BENCH_LINUX); } | tests/bench/table

# The whole path of guests' I/O, in Linux: some minutes.
$(BUILD)/bench/io: $(addprefix tests/bench/,io.c io_disk.c io_network.c io.h)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -std=gnu11 -O2 -I. -Wall -Wextra -Werror -static -s $(filter %.c,$^) -o $@

$(BUILD)/bench/initrd-io.gz: $(BUILD)/bench/io $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@$(call with_modules,$(GUEST_MODULES)); tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun "$$@"

bench-io: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(BUILD)/bench/initrd-io.gz $(GUEST)/vmlinuz-cloud
	@tests/bench/io $(GUEST)/vmlinuz-cloud $(BUILD)/bench/initrd-io.gz $(T)
