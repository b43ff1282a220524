// A plain image of code, put at the address and entered in the mode that vms.conf gives: boot =
// flat@ADDRESS:MODE.
#pragma once

#include "loaders/loading.h"

MUST_CHECK status_t flat_load(struct loading *loading);
