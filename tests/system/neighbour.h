// What the parts of the neighbour share: its clock and its behaviours that are not in neighbour.c.
#pragma once

#include "lib/bits.h"

extern uint64_t tsc_hz, end; // in guest TSC; `end` is 0: never
bool is_over(void);

void spin(void);  // until it is over
void sleep(void); // the same, halted

// posing.c
void hang(void);
void pose(void);
void wait_for_button(void);
void listen_on_com1(void);
void listen_on_com2(void);
void chatter(void);
