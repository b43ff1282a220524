// A hostile driver of any virtio device: rings that no driver may make.
#pragma once

#include "tests/guests/lib/virtio.h"

#define RINGS_KINDS   18
#define RINGS_ALLOWED (RINGS_KINDS - 1) // some devices need not mind the last kind

// What kind `kind` (0 to RINGS_KINDS - 1) is.
const char *rings_name(unsigned kind);

// What is negotiated, of what the device offers.
extern uint64_t rings_features;

// Resets the device, makes such a ring for this queue, and notifies. Whether the device now says
// that it needs a reset.
bool rings_play(const struct virtio_function *function, unsigned queue, unsigned kind);

// Rewrites the ring of the queue that was set up last, again and again: for another CPU, until
// `rings_quiet` is set.
void rings_scramble(void);
extern volatile bool rings_quiet;

// A reset, and the device negotiates and takes a good ring again.
bool rings_recover(const struct virtio_function *function, unsigned queue);
