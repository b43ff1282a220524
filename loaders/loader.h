// Loads whatever file a VM is given as its kernel: recognises the format, writes ACPI tables and
// boot information into guest memory, and sets the boot processor's registers. Called by the
// machine half before a VM's first entry and again before each restart.
#pragma once

#include "loaders/image.h"
#include "vm/config/config.h"
#include "vm/vm.h"

// Before: vm->traits, vm->memory (as memory_layout() says, and all zeroes),
// vm->vcpu[0 .. vcpu_count) with their apic_id, and vcpu_reset() of each. `initrd` may be NULL.
// Every result but STATUS_OK is explained by one line that names the file, sizes and the remedy;
// guest memory then has partial contents.
MUST_CHECK status_t loader_load(struct vm *vm, const struct vm_config *config,
                                const struct image *kernel, const struct image *initrd,
                                const struct image *modules, unsigned module_count,
                                struct explanation *why);
