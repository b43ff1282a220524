// VMs' memory and registers as ELF core files, sent to who may take them out.
#pragma once

#include "control/session.h"

struct core_state {
    uint64_t at; // of the file
    bool was_running;
};

void core_begin(struct session *session);
uint64_t core_serve(struct session *session, uint64_t now);
void core_end(struct session *session);
