// The watchdog over VMs that ask for one (`watchdog = SECONDS`).
#pragma once

// From now on a task looks at the VMs once a second, and says in the log which of them show no
// life.
void watchdog_init(void);
