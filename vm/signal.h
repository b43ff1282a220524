// INIT, SIPI and NMI on their way to a vCPU: struct vcpu's `signals`. For vm/signal.c, which sends
// them, and vm/vcpu.c, which takes them.
#pragma once

#include "vm/vcpu.h"

// INIT, SIPI and NMI act in the order in which they were sent, and a vCPU may not look for a while.
// So senders sum up: an INIT undoes all that came before it; of SIPIs the first counts, if it is
// waited for; and NMIs are lost while one is waited for.
#define SIGNAL_VECTOR      UINT32_C(0xff) // of the SIPI
#define SIGNAL_SIPI        BIT32(8)
#define SIGNAL_INIT        BIT32(9)         // before all that is here
#define SIGNAL_NMIS        UINT32_C(0x3000) // 0 to 2 before the SIPI
#define SIGNAL_NMIS_BEHIND UINT32_C(0xc000) // and behind it
