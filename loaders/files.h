// Finds the files that vms.conf names for a VM among the boot modules.
#pragma once

#include "lib/status.h"
#include "loaders/image.h"
#include "vm/config.h"

struct guest_files {
    struct image kernel;
    struct image initrd; // if has_initrd
    bool has_initrd;
    unsigned module_count;
    struct image module[CONFIG_MODULES]; // with their command lines, which point into the config
};

// STATUS_NOT_FOUND: a file that no boot module has the name of; explained with the line of the VM's
// section and, where one is near, the name that was perhaps meant. config->kernel must not be
// empty.
MUST_CHECK status_t files_find(const struct vm_config *config, const struct image *images,
                               unsigned count, struct guest_files *files, struct explanation *why);
