// The life of a VM: which state follows on which event, and what is to be done on the way. Only the
// decisions are here; control/domain.c carries them out.
//
//     ABSENT ---- start ----> BUILDING ---- built ----> RUNNING <-- pause, resume --> PAUSED
//       ^                      |    ^                    |   |                         |  |
//       |        refused, kill |    | restart            |   +-- reset, kill ----------+  |
//       |                      v    |                    |         v                      |
//       +---- cleared ------- CLEARING                   |      LEAVING                   |
//                              ^    ^                    | left    | left                 | left
//                  reset, kill |    | flushed            v         v                      v
//                          PRESERVED <--- preserve --- FLUSHING <--+----------------------+
//
// To hold a VM for a look and to release it changes no state.
#pragma once

#include "vm/config/config.h"
#include "vm/verdict.h"

enum life_state {
    LIFE_ABSENT = 0, // described, and nothing else
    LIFE_BUILDING,   // its RAM is mapped, cleared and loaded
    LIFE_RUNNING,
    LIFE_PAUSED,
    LIFE_LEAVING,   // ordered to end: its vCPUs are on their way out
    LIFE_FLUSHING,  // the last vCPU has left; the last output is on its way
    LIFE_PRESERVED, // has ended, and stands still to be looked at
    LIFE_CLEARING,  // its RAM is cleared, then all is given back
    LIFE_STATES,
};

enum life_event {
    LIFE_START,   // by the operator, or at boot
    LIFE_BUILT,   // its vCPUs can run
    LIFE_REFUSED, // it cannot be built
    LIFE_PAUSE,
    LIFE_RESUME,
    LIFE_HOLD, // stand still for a look
    LIFE_RELEASE,
    LIFE_RESET, // by the operator
    LIFE_KILL,
    LIFE_LEFT,    // the last vCPU has left its loop
    LIFE_FLUSHED, // nothing is left to print: it is preserved, if that follows
    LIFE_CLEARED, // nothing is left in memory: it is built anew, if that follows
    LIFE_EVENTS,
};

// What a step asks for, to be done in this order.
enum life_effect {
    LIFE_PARK = 1,   // its vCPUs leave the loops, its clocks stand
    LIFE_STOP = 2,   // it gets the event as its reason to end
    LIFE_UNPARK = 4, // its vCPUs go on, if they were parked, as if no time had passed
    LIFE_REPORT = 8, // no summary will say that it was killed
    LIFE_CLEAR = 16, // clearing begins
};

struct life {
    enum life_state state;
    enum config_action then; // what follows its end; the last order wins
};

// Takes the step. `configured` is what vms.conf wants after the end that LIFE_LEFT found. `effects`
// becomes a set of enum life_effect. STATUS_INVALID: the event cannot be in this state; nothing has
// changed.
MUST_CHECK status_t life_step(struct life *life, enum life_event event,
                              enum config_action configured, uint32_t *effects);

// Whether there is a VM to be looked at: from LIFE_RUNNING to LIFE_PRESERVED.
bool life_has_vm(const struct life *life);

// Whether there will be one soon.
bool life_is_starting(const struct life *life);

// What the description of a VM wants after an end for this reason.
enum config_action life_configured(const struct vm_config *config, enum stop_reason reason);
