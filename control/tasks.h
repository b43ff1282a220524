// What the tasks of control/ share.
#pragma once

#include "vmx/task.h"

// What touches domains, their consoles or the monitor is a task of this strand, or runs
// before there are any.
extern struct strand control;

// control/operator.c's: woken when there is something to attend to.
extern struct task operator_task;
