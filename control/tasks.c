#include "control/tasks.h"

struct strand control;
struct task operator_task;
