// A VM of one vCPU in plain memory, and one exit of it: state that a row did not ask for is
// poisoned, a need() is served as the run loop would, and afterwards every byte of the vCPU but the
// named fields must be as before.
#pragma once

#include "tests/unit/support.h"

#include "vm/vm.h"

#define RAM_SIZE UINT64_C(0x40000)

struct fixture {
    struct vm vm;
    struct vcpu vcpu; // the truth: set state here before exit_run(), read results here after it
    uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
};

extern struct fixture fixture;
#define VCPU (&fixture.vcpu)

// A 64-bit kernel at CPL 0 with flat segments, every feature of a recent CPU, RAM from 0, no
// devices.
void fixture_init(void);
// A 16-bit real-mode guest on the same fixture; and a 32-bit one without paging.
void fixture_real_mode(void);
void fixture_protected_mode(void);

struct change {
    size_t offset;
    size_t size;
};
#define CHANGED(name)                                                                              \
    {                                                                                              \
        offsetof(struct vcpu, name), sizeof(((struct vcpu *)0)->name)                              \
    }

// Runs the exit's row. Only the listed fields may differ afterwards; `requests` and `dirty` count
// as fields, the latter may only name groups that were fetched or are always valid.
verdict_t exit_run_listed(const struct exit *exit, const struct change *allowed, size_t count);
#define exit_run(exit, ...)                                                                        \
    exit_run_listed((exit), (const struct change[]){{0, 0}, __VA_ARGS__},                          \
                    sizeof((const struct change[]){{0, 0}, __VA_ARGS__}) / sizeof(struct change))

// The groups that the last exit made dirty, and the requests it noted.
extern uint32_t exit_dirty;
extern uint32_t exit_requests;

#define assert_verdict(actual, expected)                                                           \
    do {                                                                                           \
        verdict_t verdict_is = (actual), verdict_should = (expected);                              \
        if (memcmp(&verdict_is, &verdict_should, sizeof(verdict_is)) != 0)                         \
            fail_msg("verdict %d/%d/%d/%#x, expected %d/%d/%d/%#x", verdict_is.kind,               \
                     verdict_is.detail, verdict_is.has_error, verdict_is.value,                    \
                     verdict_should.kind, verdict_should.detail, verdict_should.has_error,         \
                     verdict_should.value);                                                        \
    } while (0)
