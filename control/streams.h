// Streams of VMs by their socket devices, and the sessions that Corbel's services have there
// (control/services.h). One task carries all sessions, each a piece at a time.
#pragma once

#include "drivers/virt/stream/vsock.h"

// Once the first VMs are started. What they ask for before waits for it.
void streams_init(void);

// What connections of VMs are made with; their owner is the VM.
extern const struct vsock_host streams_host;
