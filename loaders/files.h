// Finds the files that vms.conf names for a VM among the boot modules.
#pragma once

#include "lib/status.h"
#include "loaders/image.h"
#include "vm/config/config.h"

// Firmware is made of files with Debian's names for them, which tools/mkiso finds by itself.
struct firmware_file {
    enum vm_firmware firmware;
    const char *name;
    const char *folder; // where its package has it
    const char *package;
};

#define FIRMWARE_PARTS 2 // at most: the code, then the variables

// The files of one kind, in their order; NULL behind the last.
const struct firmware_file *firmware_file(enum vm_firmware firmware, unsigned part);

struct guest_files {
    struct image kernel;                   // without firmware
    struct image firmware[FIRMWARE_PARTS]; // with it, instead of all the others
    struct image initrd;                   // if has_initrd
    bool has_initrd;
    unsigned module_count;
    struct image module[CONFIG_MODULES]; // with their command lines, which point into the config
};

// What is looked for: files that `config` names, among `images`.
struct file_search {
    const struct vm_config *config;
    const struct image *images;
    unsigned count;
    struct explanation *why;
    unsigned line; // where the name stands; 0: where the key is set first
};

// The file that stands under `key`. STATUS_NOT_FOUND: no boot module has the name; explained, where
// one is near, with the name that was perhaps meant.
MUST_CHECK status_t file_find(const struct file_search *search, const char *key, const char *name,
                              struct image *image);

// All files of a VM but its disks. STATUS_NOT_FOUND: as for file_find(). Without firmware,
// config->kernel must not be empty.
MUST_CHECK status_t files_find(const struct vm_config *config, const struct image *images,
                               unsigned count, struct guest_files *files, struct explanation *why);
