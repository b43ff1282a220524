// What the monitor asks for, answered by the machine.
#pragma once

#include "monitor/host.h"

extern const struct monitor_host monitor_host;
