// What is done between two entries: requests of others, timers, events to inject.
#pragma once

#include "vmx/run.h"

// The loop goes on.
#define RUN_CONTINUE ((enum run_end)(RUN_STOPPED + 1))

// Serves the vCPU's request bits. Returns RUN_CONTINUE if it may enter the guest. `called_off`: the
// entry that the last call prepared did not take place.
enum run_end requests_serve(struct vmx_vcpu *vcpu, bool called_off);

// Writes the primary controls, if they change.
void requests_set_primary(struct vmx_vcpu *vcpu, uint32_t primary);

// Before an entry, and after `exit` unless it is NULL. Of a guest that may have breakpoints
// (STATE_BREAKPOINTS): its IN and OUT are looked at here, so that the hot path need not. When DR7
// was seen without any, MOV DR exits again. Of a vCPU that its debugger steps (STATE_STEP): whether
// the instruction is done.
__attribute__((cold)) void requests_follow_debugging(struct vmx_vcpu *vcpu,
                                                     const struct exit *exit);
