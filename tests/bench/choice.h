// The scheduler's part of the bench: see choice.c.
#pragma once

// Prints `cost sched_choose_64 VALUE`.
void choice_measure(void);
