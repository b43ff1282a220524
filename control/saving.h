// Where saved states go to, and come from. For tasks of the strand `control`.
#pragma once

#include "control/domain.h"

// The operator's order: the domain's task writes the VM's state to the debug port of an emulator
// while it stands still, and then lets it go on. STATUS_NOT_FOUND: there is no such port.
// STATUS_INVALID: it is being saved already, or there is no VM that runs or is paused. Explained.
MUST_CHECK status_t saving_order(struct domain *domain, struct explanation *why);

// What was ordered, by the domain's task.
void saving_work(struct domain *domain);

// Whether this life of the domain begins from a boot module, as `restore` of its description says:
// the first one does. And beginning so: see save_read().
bool saving_restores(const struct domain *domain);
MUST_CHECK status_t saving_restore(struct domain *domain, struct explanation *why);
