// Guest memory in the formats of QEMU's monitor: x at linear addresses of the chosen vCPU, xp at
// guest-physical ones.

#include "lib/span.h"
#include "lib/string.h"
#include "monitor/commands.h"
#include "vm/emulate/linear.h"

#define MOST_UNITS  4096 // at once
#define STRING_SIZE 256

struct format {
    uint64_t count;
    char kind;     // x d u o c s
    unsigned size; // of a unit, bytes
};

struct view {
    struct vcpu *vcpu;
    bool is_physical;
};

static bool read_format(struct monitor *monitor, const char *text, struct format *format)
{
    *format = (struct format){.count = 1, .kind = 'x', .size = 4};
    text++; // the slash
    if (*text >= '0' && *text <= '9' && !args_number(&text, &format->count))
        format->count = 0;
    if (format->count < 1 || format->count > MOST_UNITS) {
        say(monitor, "a count is 1 to %u\n", MOST_UNITS);
        return false;
    }
    for (; *text; text++) {
        if (strchr("xduocs", *text)) {
            format->kind = *text;
            if (*text == 'c')
                format->size = 1;
        } else if (strchr("bhwg", *text)) {
            format->size = *text == 'b' ? 1 : *text == 'h' ? 2 : *text == 'w' ? 4 : 8;
        } else if (*text == 'i') {
            say(monitor, "there is no disassembler here: look at the bytes with /16xb\n");
            return false;
        } else {
            say(monitor, "%c: a format is x, d, u, o, c or s; a size b, h, w or g\n", *text);
            return false;
        }
    }
    return true;
}

// $rip and its kin.
static bool read_register(const struct vcpu *vcpu, const char **text, uint64_t *value)
{
    const uint64_t *gpr = vcpu->gpr;
    const struct {
        const char *name;
        const uint64_t *value;
    } names[] = {{"rax", &gpr[RAX]},  {"rcx", &gpr[RCX]}, {"rdx", &gpr[RDX]}, {"rbx", &gpr[RBX]},
                 {"rsp", &gpr[RSP]},  {"rbp", &gpr[RBP]}, {"rsi", &gpr[RSI]}, {"rdi", &gpr[RDI]},
                 {"r8", &gpr[R8]},    {"r9", &gpr[R9]},   {"r10", &gpr[R10]}, {"r11", &gpr[R11]},
                 {"r12", &gpr[R12]},  {"r13", &gpr[R13]}, {"r14", &gpr[R14]}, {"r15", &gpr[R15]},
                 {"rip", &vcpu->rip}, {"pc", &vcpu->rip}, {"cr3", &vcpu->cr3}};
    struct span word = {*text + 1, 0};
    while ((word.at[word.length] >= 'a' && word.at[word.length] <= 'z') ||
           (word.at[word.length] >= '0' && word.at[word.length] <= '9'))
        word.length++;
    *text = word.at + word.length;
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++)
        if (span_is(word, names[i].name)) {
            *value = *names[i].value;
            return true;
        }
    return false;
}

// Numbers and registers with + and - between them.
static bool read_address(const struct vcpu *vcpu, const char *text, uint64_t *address)
{
    bool is_minus = false;
    for (*address = 0;; text++) {
        uint64_t value;
        if (!(*text == '$' ? read_register(vcpu, &text, &value) : args_number(&text, &value)))
            return false;
        *address += is_minus ? 0 - value : value;
        if (!*text)
            return true;
        if (*text != '+' && *text != '-')
            return false;
        is_minus = *text == '-';
    }
}

static bool read_bytes(const struct view *view, uint64_t address, uint8_t *bytes, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        gpa_t physical = gpa(address + i);
        if (!view->is_physical && !linear_peek(view->vcpu, address + i, &physical))
            return false;
        if (!gmem_read(&view->vcpu->vm->memory, physical, bytes + i, 1))
            return false;
    }
    return true;
}

static void print_character(struct monitor *monitor, uint8_t byte)
{
    if (byte >= 0x20 && byte < 0x7f)
        say(monitor, byte == '\'' || byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
    else
        say(monitor, "\\x%02x", byte);
}

static void print_octal(struct monitor *monitor, uint64_t value, unsigned size)
{
    for (int shift = (int)(size * 8 + 2) / 3 * 3 - 3; shift >= 0; shift -= 3)
        say(monitor, "%lu", value >> shift & 7);
}

static void print_unit(struct monitor *monitor, const struct format *format, uint64_t value)
{
    static const int decimals[] = {[1] = 4, [2] = 6, [4] = 11, [8] = 20};
    unsigned shift = 64 - format->size * 8;
    switch (format->kind) {
    case 'd':
        say(monitor, " %*ld", decimals[format->size], (int64_t)(value << shift) >> shift);
        break;
    case 'u':
        say(monitor, " %*lu", decimals[format->size], value);
        break;
    case 'o':
        say(monitor, " 0");
        print_octal(monitor, value, format->size);
        break;
    case 'c':
        say(monitor, " '");
        print_character(monitor, (uint8_t)value);
        say(monitor, "'");
        break;
    default:
        say(monitor, " 0x%0*lx", (int)format->size * 2, value);
        break;
    }
}

static void cannot_read(struct monitor *monitor, const struct view *view, uint64_t address)
{
    gpa_t physical = gpa(address);
    if (view->is_physical)
        say(monitor, "guest-physical address %#lx is not in this VM's RAM\n", address);
    else if (!linear_peek(view->vcpu, address, &physical) && view->vcpu->cr0 & CR0_PG)
        say(monitor, "linear address %#lx is not mapped by the page tables of vCPU %u\n", address,
            view->vcpu->id);
    else
        say(monitor, "linear address %#lx is guest-physical %#lx, which is not in this VM's RAM\n",
            address, physical.value);
}

static void print_strings(struct monitor *monitor, const struct view *view, uint64_t address,
                          uint64_t count)
{
    for (; count > 0; count--) {
        uint8_t byte;
        if (!read_bytes(view, address, &byte, 1)) {
            cannot_read(monitor, view, address);
            return;
        }
        say(monitor, "%016lx: \"", address);
        for (unsigned i = 0; i < STRING_SIZE; i++) {
            if (!read_bytes(view, address, &byte, 1)) {
                say(monitor, "\"\n");
                cannot_read(monitor, view, address);
                return;
            }
            address++;
            if (!byte)
                break;
            print_character(monitor, byte);
        }
        say(monitor, "\"%s\n", byte ? "..." : "");
    }
}

static void print_units(struct monitor *monitor, const struct view *view,
                        const struct format *format, uint64_t address)
{
    unsigned in_line = format->kind == 'c' ? 8 : 16 / format->size;
    for (uint64_t i = 0; i < format->count; i++, address += format->size) {
        uint64_t value = 0;
        if (!read_bytes(view, address, (uint8_t *)&value, format->size)) {
            if (i % in_line)
                say(monitor, "\n");
            cannot_read(monitor, view, address);
            return;
        }
        if (i % in_line == 0)
            say(monitor, "%016lx:", address);
        print_unit(monitor, format, value);
        if ((i + 1) % in_line == 0 || i + 1 == format->count)
            say(monitor, "\n");
    }
}

static void examine(struct monitor *monitor, const struct args *args, bool is_physical)
{
    struct format format = {.count = 1, .kind = 'x', .size = 4};
    const char *where = args->arg[1];
    uint64_t address;
    if (where[0] == '/') {
        if (!read_format(monitor, where, &format))
            return;
        where = arg_at(args, 2);
    } else if (args->count > 2) {
        where = NULL;
    }
    struct vm *vm = find_vm(monitor, NULL).vm;
    if (!vm)
        return;
    struct view view = {vm->vcpu[monitor->vcpu < vm->vcpu_count ? monitor->vcpu : 0], is_physical};
    monitor->host->hold(vm);
    if (!where || !read_address(view.vcpu, where, &address))
        say(monitor,
            "an address is a number or a register ($rip, $rsp, $cr3, ...), with + and -: "
            "%s /8xg $rsp+16\n",
            args->arg[0]);
    else if (format.kind == 's')
        print_strings(monitor, &view, address, format.count);
    else
        print_units(monitor, &view, &format, address);
    monitor->host->release(vm);
}

void command_x(struct monitor *monitor, const struct args *args)
{
    examine(monitor, args, false);
}

void command_xp(struct monitor *monitor, const struct args *args)
{
    examine(monitor, args, true);
}
