// Which VMs to start: those of vms.conf, or the built-in self-test guest.
#pragma once

#include "boot/info/bootinfo.h"

// Starts them; prints a line for each that cannot be started. `begin` is the host TSC at the
// hand-over; `fail_entry` as in boot/info/options.h.
void start_vms(const struct boot_info *info, const char *fail_entry, uint64_t begin);
