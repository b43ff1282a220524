// What the parts of the neighbour share: its clock and its behaviours that are not in neighbour.c.
#pragma once

#include "lib/bits.h"

extern uint64_t tsc_hz, end; // in guest TSC; `end` is 0: never
extern uint64_t memory_end;  // of RAM from 1 MiB on
bool is_over(void);

void spin(void);  // until it is over
void sleep(void); // the same, halted

// greedy.c
void take_turns(void);
void take_turns_by_pause(void);
void call_the_deaf(void);
void call_the_unstarted(void);
void wake_by_kick(void);
void nap(void);
void crowd(void); // all vCPUs spin
void flood(void); // a network

// debugged.c
void be_debugged(void);

// flooding.c
void play_rings(void);
void flood_disk(void);

// keeping.c
void keep(void);

// lending.c
void lend(void);
void seek(void);

// posing.c
void hang(void);
void pose(void);
void forge(void);
void wait_for_button(void);
void listen_on_com1(void);
void listen_on_com2(void);
void chatter(void);
