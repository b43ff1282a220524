// What QMP's commands share.
#pragma once

#include "monitor/qmp.h"

#define QMP_ARGUMENTS 2
#define QMP_WORD      64 // a name, and its NUL

struct qmp_argument {
    const char *name;
    enum { QMP_STRING = 1, QMP_NUMBER, QMP_BOOL, QMP_LIST } kind;
    bool is_optional;
};

struct qmp_command {
    const char *name;
    enum right needs;
    // Prints a piece of what it returns, a JSON value, at most half of QMP_ANSWER; or fails, in the
    // first piece, before it has done anything. True: there is more.
    bool (*run)(struct qmp *qmp);
    struct qmp_argument argument[QMP_ARGUMENTS];
};

// NULL: there is none of this name; or none with this index.
const struct qmp_command *qmp_find(struct span name);
const struct qmp_command *qmp_nth(unsigned index);

// Gives to the stream what was said, as far as there is room; and the printer's write().
void qmp_give(struct qmp *qmp);
void qmp_put(struct printer *printer, const char *text, size_t length);

// The command's answer is an error of this class. Returns false.
#define QMP_GENERIC   "GenericError"
#define QMP_NOT_FOUND "CommandNotFound"
#define QMP_INACTIVE  "DeviceNotActive"
__attribute__((format(printf, 3, 4))) bool qmp_fail(struct qmp *qmp, const char *class,
                                                    const char *format, ...);

// An argument of the command that runs; checked, so that it is of the kind that its table says.
bool qmp_argument(const struct qmp *qmp, const char *name, struct span *value);

// Bytes that can be said now, and wait for nobody.
uint64_t qmp_room(const struct qmp *qmp);

// The VM, as it is now.
static inline struct monitor_vm qmp_vm(const struct qmp *qmp)
{
    return qmp->monitor.host->vm(qmp->monitor.slot);
}

// qmp_query.c
bool qmp_query_balloon(struct qmp *qmp), qmp_query_block(struct qmp *qmp),
    qmp_query_cpus(struct qmp *qmp), qmp_query_kvm(struct qmp *qmp),
    qmp_query_memory(struct qmp *qmp), qmp_query_name(struct qmp *qmp),
    qmp_query_status(struct qmp *qmp), qmp_query_uuid(struct qmp *qmp),
    qmp_query_version(struct qmp *qmp);

// The event as QMP has it, without its time: `"event": ..., "data": ...`.
void qmp_print_event(struct printer *to, const struct news_item *item);
