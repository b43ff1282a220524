// Where saved states go to, and come from. For tasks of the strand `control`.
#pragma once

#include "control/domain.h"

// Orders: the domain's task writes the VM's state to a stream, or (NULL) to the debug port of an
// emulator, while it stands still, and then lets it go on. Or it begins from what comes by a
// stream. STATUS_NOT_FOUND: there is no such port. STATUS_INVALID: it is being saved already, or
// does not run; or has not ended. Explained.
MUST_CHECK status_t saving_order(struct domain *domain, struct stream_end *to,
                                 struct explanation *why);
MUST_CHECK status_t saving_order_restore(struct domain *domain, struct stream_end *from,
                                         struct explanation *why);

// The stream has bytes or room: its task goes on. False: it needs the stream no more.
bool saving_goes_on(struct domain *domain, const struct stream_end *stream);

// Nobody is at the other end any more: what is under way fails.
void saving_forget(struct domain *domain, const struct stream_end *stream);

// What was ordered, by the domain's task.
void saving_work(struct domain *domain);

// Whether this life of the domain begins from a stream, or from a boot module, as `restore` of its
// description says: the first one does. And beginning so: see save_read().
bool saving_restores(const struct domain *domain);
MUST_CHECK status_t saving_restore(struct domain *domain, struct explanation *why);
