// Tasks to switch to, which random memory hardly ever holds: descriptor tables, a task-state
// segment of either format, and page tables, each mostly as it must be.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Of the input; behind its end any, by `seed`: short inputs, too, make whole tasks.
struct bytes {
    const uint8_t *data;
    size_t size;
    uint64_t seed;
};
struct bytes bytes_of(const uint8_t *data, size_t size);
uint64_t bytes_take(struct bytes *bytes, unsigned count);

// Where they lie, in RAM of 32 KiB from 0.
#define TASKS_GDT       0x1000
#define TASKS_OLD       0x3000 // the task that is left
#define TASKS_PAE_TABLE 0x6000 // to which all PDPTEs lead
#define TASKS_DIRECTORY 0x7000 // for CR3: 4 MiB pages one to one, or, `pae`, the four PDPTEs

// Fills the memory; returns the exit qualification of a switch to one of the tasks there.
uint64_t tasks_build(uint8_t *ram, struct bytes *bytes, int pae);
