# Boots of the real ISO: `make system`, `make isolation`, `make devices`, `make linux-matrix`, `make firmware-matrix`.

.PHONY: system isolation devices linux-matrix firmware-matrix

# A program for Linux, in an initramfs of its own.
$(BUILD)/system/shootdown $(BUILD)/system/timekeeper $(BUILD)/system/diskload $(BUILD)/system/network: $(BUILD)/system/%: tests/system/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -static -pthread -s $< -o $@

$(BUILD)/system/initrd-smp.gz: $(BUILD)/system/shootdown $(GUEST)/busybox tools/mkinitramfs tools/guest-init
	tools/mkinitramfs $@ $(GUEST)/busybox $<=bin/shootdown

$(BUILD)/system/initrd-timekeeper.gz: $(BUILD)/system/timekeeper $(GUEST)/busybox tools/mkinitramfs tools/guest-init
	tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun

$(BUILD)/system/initrd-disk.gz: tests/system/disk-check $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@mkdir -p $(@D)
	@$(call with_modules,$(GUEST_MODULES)); tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun "$$@"

$(BUILD)/system/initrd-diskload.gz: $(BUILD)/system/diskload $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@$(call with_modules,$(GUEST_MODULES)); tools/mkinitramfs $@ $(GUEST)/busybox $<=bin/diskload "$$@"

# Two guests on a network: each begins with tests/system/network-init.
$(BUILD)/system/initrd-network.gz: $(BUILD)/system/network tests/system/network-init $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@$(call with_modules,$(GUEST_MODULES) llc stp mrp garp 8021q); \
		tools/mkinitramfs $@ $(GUEST)/busybox $<=bin/network tests/system/network-init=autorun "$$@"

# One that serves a repository of one package.
$(BUILD)/system/repository/Packages: $(GUEST)/hello.deb
	@mkdir -p $(@D)
	@cp $< $(@D) && cd $(@D) && { dpkg-deb -f $(<F) && echo "Filename: ./$(<F)" && stat -c 'Size: %s' $(<F) && \
		echo "SHA256: $$(sha256sum < $(<F) | cut -c -64)"; } > $(@F)

$(BUILD)/system/initrd-mirror.gz: tests/system/mirror-init $(BUILD)/system/repository/Packages $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@$(call with_modules,$(GUEST_MODULES)); tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun \
		$(BUILD)/system/repository/Packages=repository/Packages $(GUEST)/hello.deb=repository/hello.deb "$$@"

# An ISO that installs Debian.
$(BUILD)/system/initrd-installer.gz: tests/system/installer-init $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@mkdir -p $(@D)
	@$(call with_modules,$(GUEST_MODULES) cdrom isofs loop squashfs); tools/mkinitramfs $@ $(GUEST)/busybox $<=autorun "$$@"

$(BUILD)/system/installer.iso: tests/system/mkinstaller $(GUEST)/debian.tar $(GUEST)/vmlinuz-cloud $(BUILD)/system/initrd-installer.gz
	tests/system/mkinstaller $@ $(filter-out $<,$^)

# A guest with sockets, and socat with its libraries.
$(BUILD)/system/initrd-vsock.gz: /usr/bin/socat $(GUEST)/busybox $(GUEST)/vmlinuz-cloud tools/mkinitramfs tools/guest-init
	@mkdir -p $(@D)
	@$(call with_modules,$(GUEST_MODULES) vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport); \
		for library in $$(ldd $< | grep -o '/[^ ]*'); do set -- "$$@" "$$library=$${library#/}"; done; \
		tools/mkinitramfs $@ $(GUEST)/busybox $<=bin/socat "$$@"

SYSTEM_FILES := $(GUEST)/initrd.gz $(GUEST)/vmlinuz-cloud $(GUEST)/qemu-ga $(GUEST)/qmp-shell $(GUEST)/gnumach.gz \
	$(BUILD)/unit/qmp_server $(BUILD)/guests/neighbour.elf $(BUILD)/system/initrd-smp.gz \
	$(BUILD)/system/initrd-timekeeper.gz $(BUILD)/system/initrd-disk.gz $(BUILD)/system/initrd-diskload.gz $(BUILD)/system/initrd-network.gz \
	$(BUILD)/system/initrd-vsock.gz

system: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(SYSTEM_FILES)
	@tests/system/run $(T)

# Linux beside hostile VMs, and a thousand lives of a VM: a quarter of an hour, and not a part of `test`.
isolation:
	@CYCLES=1000 $(MAKE) --no-print-directory system T="isolation_linux monitor_cycles"

# Debian's kernels on each CPU model, and with many vCPUs. Not a part of `test`: it takes hours.
KERNELS := cloud generic
commas = $(subst $() ,$(comma),$(strip $(1)))

linux-matrix: deps-system
	@$(MAKE) $(quietly) $(IMAGE) $(SYSTEM_FILES) $(patsubst %,$(GUEST)/vmlinuz-%,$(filter-out memtest,$(KERNELS))) \
		$(if $(filter memtest,$(KERNELS)),$(GUEST)/memtest86+)
	@tests/system/matrix -k $(call commas,$(KERNELS)) $(if $(MODELS),-m $(call commas,$(MODELS))) $(if $(SMP),-s $(call commas,$(SMP)))

# Cases that take too long for `test`.
devices:
	@$(MAKE) --no-print-directory system T="saved streams_ qmp_vsock balloon reporting sparse_disk guest_agent network_ports virtio_load ovmf_sandy"

# What firmware boots from disks: whole systems, two hours. Not a part of `test`.
firmware-matrix: deps-system deps-disk
	@$(MAKE) $(quietly) $(IMAGE) $(SYSTEM_FILES) $(addprefix $(GUEST)/,debian.img debian-generic.img grub.iso ipxe.iso memtest86+) \
		$(addprefix $(BUILD)/system/,initrd-mirror.gz installer.iso)
	@tests/system/run $(or $(T),disk_)
