// Questions about the target and settings of the protocol. See monitor/gdb.h. gdb's manual:
// "General Query Packets".

#include "lib/string.h"
#include "monitor/commands.h"
#include "monitor/gdb.h"
#include "monitor/gdb_target.h"

static bool begins(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length))
        return false;
    *text += length;
    return true;
}

static bool contains(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (; *text; text++)
        if (!strncmp(text, word, length))
            return true;
    return false;
}

static void answer_features(struct gdb *gdb, const char *theirs)
{
    gdb->tells_kind = contains(theirs, "swbreak+") && contains(theirs, "hwbreak+");
    print_to(&gdb->link.reply,
             "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;"
             "hwbreak+",
             GDB_PACKET);
}

// A guest that has not been in long mode yet is described as what it is.
static void answer_description(struct gdb *gdb, const char *range)
{
    struct vm *vm = gdb->debugger.vm;
    uint64_t offset, length;
    if (!gdb_number(&range, &offset) || *range++ != ',' || !gdb_number(&range, &length)) {
        print_to(&gdb->link.reply, "E00");
        return;
    }
    if (offset == 0 && vm) {
        const struct vcpu *vcpu = vm->vcpu[gdb->thread];
        gdb->is_64 = vcpu->efer & EFER_LMA;
        gdb->is_16 = !gdb->is_64 && !(vcpu->segment[CS].access & AR_DB);
    }
    // The first letter says whether there is more, which is known afterwards.
    char *kind = &gdb->link.out[gdb->link.out_length];
    print_to(&gdb->link.reply, "m");
    if (!gdb_target_describe(&gdb->link.reply, gdb->is_64, gdb->is_16, offset,
                             MIN(length, GDB_PACKET - 1)))
        *kind = 'l';
}

static void answer_threads(struct gdb *gdb)
{
    const struct vm *vm = gdb->debugger.vm;
    for (unsigned i = 0; vm && i < vm->vcpu_count; i++)
        print_to(&gdb->link.reply, "%c%x", i ? ',' : 'm', i + 1);
}

static void answer_extra(struct gdb *gdb, const char *name)
{
    static const char *const states[] = {[ACTIVITY_ACTIVE] = "running",
                                         [ACTIVITY_HALTED] = "halted",
                                         [ACTIVITY_WAIT_FOR_SIPI] = "waits for a SIPI",
                                         [ACTIVITY_STOPPED] = "stopped"};
    char text[40];
    unsigned thread;
    bool all;
    if (!gdb_thread(gdb, &name, &thread, &all)) {
        print_to(&gdb->link.reply, "E01");
        return;
    }
    const struct vcpu *vcpu = gdb->debugger.vm->vcpu[thread];
    uint8_t activity =
        vcpu->activity == ACTIVITY_STOPPED ? vcpu->debugged->activity : vcpu->activity;
    size_t length = format_text(text, sizeof(text), "vCPU %u: %s", thread, states[activity]);
    gdb_print_bytes(gdb, (const uint8_t *)text, length);
}

void gdb_query(struct gdb *gdb, const char *packet)
{
    struct printer *reply = &gdb->link.reply;
    if (begins(&packet, "qSupported"))
        answer_features(gdb, packet);
    else if (begins(&packet, "qXfer:features:read:target.xml:"))
        answer_description(gdb, packet);
    else if (begins(&packet, "qfThreadInfo"))
        answer_threads(gdb);
    else if (begins(&packet, "qsThreadInfo"))
        print_to(reply, "l");
    else if (begins(&packet, "qThreadExtraInfo,"))
        answer_extra(gdb, packet);
    else if (begins(&packet, "qAttached"))
        print_to(reply, "1"); // it was there before: who leaves lets it go on
    else if (!strcmp(packet, "qC"))
        print_to(reply, "QC%x", gdb->thread + 1);
    else if (!strcmp(packet, "QStartNoAckMode"))
        print_to(reply, "OK"); // gdb.c
}

// What does not fit into a packet is cut.
static void print_answer(struct printer *printer, const char *text, size_t length)
{
    struct gdb *gdb = CONTAINER_OF(printer, struct gdb, monitor.printer);
    gdb_print_bytes(gdb, (const uint8_t *)text, length);
}

void gdb_monitor(struct gdb *gdb, const char *digits)
{
    char line[ARGS_BYTES];
    line[gdb_read_bytes(digits, (uint8_t *)line, sizeof(line) - 1)] = '\0';
    memset(gdb->rights, RIGHT_NONE, sizeof(gdb->rights));
    gdb->rights[gdb->slot] = RIGHT_TAKE;
    gdb->monitor = (struct monitor){.host = gdb->host,
                                    .printer = {print_answer},
                                    .rights = gdb->rights,
                                    .slot = gdb->slot,
                                    .vcpu = gdb->thread};
    unsigned before = gdb->link.out_length;
    commands_run(&gdb->monitor, line);
    if (gdb->link.out_length == before)
        gdb_say(gdb, true);
}
