// What programs of guests can reach at CID 2: docs/streams.md.
#pragma once

#include "control/session.h"

#define SERVICES 8

extern const struct service services[SERVICES];
