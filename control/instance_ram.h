// The RAM of one VM and its page tables: what control/instance.c makes, fills and gives back.
#pragma once

#include "control/instance.h"

// Takes its frames and begins the page tables. Any result but STATUS_OK is explained; what was
// taken is in the instance.
MUST_CHECK status_t instance_ram_make(struct instance *instance, struct explanation *why);

// Maps it. Any result but STATUS_OK is explained.
MUST_CHECK status_t instance_ram_map(struct instance *instance, struct explanation *why);

// Gives back its frames and all page tables.
void instance_ram_release(struct instance *instance);
