# Corbel under KVM: `make test-nested`, `make test-nested-quick`.

.PHONY: nested test-nested test-nested-quick

# KVM checks what Bochs lets pass. Not a part of `test`: it takes too long.
test-nested: deps-nested
	@$(MAKE) $(quietly) $(IMAGE) $(GUEST)/initrd.gz $(BUILD)/system/initrd-network.gz $(GUEST)/vmlinuz-cloud $(addprefix $(BUILD)/guests/,costs.elf bare.elf broken.elf)
	@tests/nested/run $(T)

nested: test-nested

# The quick part of it: some two minutes; more than 12 count as a failure.
test-nested-quick:
	@timeout 720 $(MAKE) --no-print-directory test-nested T='selftest linux'
