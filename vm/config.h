// What vms.conf says of one VM, with the defaults for what it does not say. Parsed by vm/config.c.
#pragma once

#include "lib/status.h"

#define CONFIG_NAME    32
#define CONFIG_PATH    64
#define CONFIG_CMDLINE 2048
#define CONFIG_VMS     64
#define CONFIG_MODULES 8

enum boot_format {
    BOOT_AUTO = 0,
    BOOT_LINUX,
    BOOT_MULTIBOOT,
    BOOT_MULTIBOOT2,
    BOOT_PVH,
    BOOT_SECTOR,
    BOOT_FLAT,
};

struct vm_config {
    char name[CONFIG_NAME];
    unsigned line;   // where its section begins in vms.conf; 0: built in
    unsigned cpus;   // vCPUs
    uint64_t memory; // bytes
    enum boot_format boot;
    char kernel[CONFIG_PATH];
    char initrd[CONFIG_PATH];
    char cmdline[CONFIG_CMDLINE];
};
