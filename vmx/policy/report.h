// What these CPUs can do and what Corbel makes of it, for people: a few lines at each boot, the
// whole table on request. All lines fit 80 columns but those that name a missing requirement.
#pragma once

#include "lib/print.h"
#include "vmx/policy/vmcs_config.h"

struct report {
    const struct vmx_capabilities *all; // the intersection over the CPUs
    const struct vmcs_config *config;
    const char *cpu_name; // the brand string, or ""
    unsigned cpus;
};

// At most a dozen lines: features in use, off and missing, and the control words. If requirements
// are missing, one line each with its remedy instead.
void report_short(struct printer *to, const struct report *report);

// A page to photograph, at most 20 lines: the values from which the whole table can be made again,
// then the short form.
void report_page(struct printer *to, const struct report *report);

// The capability MSRs, each control with the settings it allows and the one that Corbel uses, the
// features with what takes their place.
void report_full(struct printer *to, const struct report *report);

// Names what CPU `index` has and CPU 0 has not, and the other way round. Nothing if they are alike.
void report_differences(struct printer *to, unsigned index, const struct vmx_capabilities *first,
                        const struct vmx_capabilities *one);
