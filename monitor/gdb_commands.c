// A session's commands about registers, memory and breakpoints. See monitor/gdb.h. gdb's manual:
// "Packets".

#include "lib/span.h"
#include "lib/string.h"
#include "monitor/gdb.h"
#include "monitor/gdb_target.h"

// ---- words ----

bool gdb_number(const char **text, uint64_t *value)
{
    const char *at = *text;
    for (*value = 0; span_digit(*at) < 16; at++) {
        if (*value >> 60)
            return false;
        *value = *value << 4 | span_digit(*at);
    }
    bool is_number = at != *text;
    *text = at;
    return is_number;
}

bool gdb_thread(const struct gdb *gdb, const char **text, unsigned *thread, bool *all)
{
    const struct vm *vm = gdb->debugger.vm;
    uint64_t number;
    if (**text == 'p') { // the process does not count: there is one
        const char *dot = strchr(*text, '.');
        *text = dot ? dot + 1 : *text + 1;
    }
    *all = false;
    *thread = gdb->thread;
    if (**text == '-') {
        *text += 1;
        *all = gdb_number(text, &number);
        return *all && vm;
    }
    if (!gdb_number(text, &number) || !vm || number > vm->vcpu_count)
        return false;
    *all = number == 0;
    if (number)
        *thread = (unsigned)number - 1;
    return true;
}

void gdb_print_bytes(struct gdb *gdb, const uint8_t *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        print_to(&gdb->link.reply, "%02x", bytes[i]);
}

unsigned gdb_read_bytes(const char *text, uint8_t *bytes, unsigned most)
{
    unsigned count = 0;
    for (; count < most && span_digit(text[0]) < 16 && span_digit(text[1]) < 16; text += 2)
        bytes[count++] = (uint8_t)(span_digit(text[0]) << 4 | span_digit(text[1]));
    return count;
}

void gdb_say(struct gdb *gdb, bool is_done)
{
    print_to(&gdb->link.reply, is_done ? "OK" : "E01");
}

static struct vcpu *vcpu_of(struct gdb *gdb)
{
    return gdb->debugger.vm->vcpu[gdb->thread];
}

// ---- registers and memory ----

static void read_registers(struct gdb *gdb)
{
    uint8_t bytes[GDB_REGISTER_MAX];
    unsigned size;
    for (unsigned i = 0; (size = gdb_register_read(vcpu_of(gdb), gdb->is_64, i, bytes)); i++)
        gdb_print_bytes(gdb, bytes, size);
}

// Those that cannot be set stay.
static void write_registers(struct gdb *gdb, const char *text)
{
    uint8_t bytes[GDB_REGISTER_MAX];
    unsigned size;
    for (unsigned i = 0; (size = gdb_register_read(vcpu_of(gdb), gdb->is_64, i, bytes)); i++) {
        if (gdb_read_bytes(text, bytes, size) < size)
            break;
        (void)!gdb_register_write(vcpu_of(gdb), gdb->is_64, i, bytes);
        text += size * 2;
    }
    gdb_say(gdb, true);
}

static void read_register(struct gdb *gdb, const char *text)
{
    uint8_t bytes[GDB_REGISTER_MAX];
    uint64_t number;
    unsigned size = 0;
    if (gdb_number(&text, &number) && number <= UINT16_MAX)
        size = gdb_register_read(vcpu_of(gdb), gdb->is_64, (unsigned)number, bytes);
    if (size)
        gdb_print_bytes(gdb, bytes, size);
    else
        gdb_say(gdb, false);
}

static void write_register(struct gdb *gdb, const char *text)
{
    uint8_t bytes[GDB_REGISTER_MAX] = {0}, before[GDB_REGISTER_MAX];
    uint64_t number;
    unsigned size;
    bool is_done = gdb_number(&text, &number) && number <= UINT16_MAX && *text++ == '=';
    if (is_done) {
        size = gdb_register_read(vcpu_of(gdb), gdb->is_64, (unsigned)number, before);
        is_done = size && gdb_read_bytes(text, bytes, size) == size &&
                  gdb_register_write(vcpu_of(gdb), gdb->is_64, (unsigned)number, bytes);
    }
    gdb_say(gdb, is_done);
}

// ADDRESS,LENGTH and what follows.
static bool read_range(const char **text, uint64_t *address, uint64_t *length)
{
    return gdb_number(text, address) && *(*text)++ == ',' && gdb_number(text, length);
}

static void read_memory(struct gdb *gdb, const char *text)
{
    uint8_t bytes[256];
    uint64_t address, length, done = 0, part = 0;
    if (!read_range(&text, &address, &length)) {
        gdb_say(gdb, false);
        return;
    }
    length = MIN(length, GDB_PACKET / 2);
    for (; done < length; done += part) {
        part = debugger_read(&gdb->debugger, vcpu_of(gdb), address + done, bytes,
                             MIN(length - done, sizeof(bytes)));
        gdb_print_bytes(gdb, bytes, part);
        if (!part)
            break;
    }
    if (!done && length)
        gdb_say(gdb, false);
}

// M with digits, X with bytes as they are.
static void write_memory(struct gdb *gdb, const char *text, bool is_binary)
{
    uint8_t *bytes = (uint8_t *)gdb->link.in; // which `text` is in
    const char *end = gdb->link.in + gdb->link.in_length;
    uint64_t address, length;
    bool is_good = read_range(&text, &address, &length) && *text++ == ':';
    if (is_good && is_binary) {
        is_good = length == (uint64_t)(end - text);
        bytes = (uint8_t *)text;
    } else if (is_good) {
        is_good =
            length <= GDB_PACKET / 2 && gdb_read_bytes(text, bytes, (unsigned)length) == length;
    }
    gdb_say(gdb, is_good && debugger_write(&gdb->debugger, vcpu_of(gdb), address, bytes, length) ==
                                length);
}

// ---- breakpoints ----

// Z and z TYPE,ADDRESS,KIND. Watching reads alone no CPU can: empty, and gdb asks for both.
static void set_breakpoint(struct gdb *gdb, const char *packet)
{
    static const struct {
        char type;
        uint8_t kind;
    } kinds[] = {{'0', DEBUG_IN_MEMORY},
                 {'1', DEBUG_EXECUTE},
                 {'2', DEBUG_ON_WRITE},
                 {'4', DEBUG_ON_ACCESS}};
    bool is_inserted = *packet++ == 'Z';
    char type = *packet;
    uint64_t address, length;
    unsigned i = 0;
    while (i < ARRAY_LENGTH(kinds) && kinds[i].type != type)
        i++;
    if (i == ARRAY_LENGTH(kinds))
        return;
    packet++;
    if (*packet++ != ',' || !read_range(&packet, &address, &length)) {
        gdb_say(gdb, false);
        return;
    }
    enum debug_kind kind = kinds[i].kind;
    gdb_say(gdb,
            (is_inserted ? debugger_insert(&gdb->debugger, vcpu_of(gdb), kind, address, length)
                         : debugger_remove(&gdb->debugger, kind, address, length)) == STATUS_OK);
}

bool gdb_command(struct gdb *gdb, const char *packet)
{
    switch (packet[0]) {
    case 'g':
        read_registers(gdb);
        return true;
    case 'G':
        write_registers(gdb, packet + 1);
        return true;
    case 'p':
        read_register(gdb, packet + 1);
        return true;
    case 'P':
        write_register(gdb, packet + 1);
        return true;
    case 'm':
        read_memory(gdb, packet + 1);
        return true;
    case 'M':
    case 'X':
        write_memory(gdb, packet + 1, packet[0] == 'X');
        return true;
    case 'z':
    case 'Z':
        set_breakpoint(gdb, packet);
        return true;
    }
    return false;
}
