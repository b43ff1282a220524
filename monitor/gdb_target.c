// One table of registers: what gdb reads and what it is told of. See monitor/gdb_target.h.

#include "monitor/gdb_target.h"

#include "lib/string.h"
#include "vm/emulate/linear.h"
#include "vm/fpu_image.h"

// What may be set of the flags: those that no VM entry looks at. And of MXCSR.
#define FLAGS                                                                                      \
    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_IF |           \
     RFLAGS_DF | RFLAGS_OF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID)
#define MXCSR UINT16_MAX

#define NATIVE 0 // bytes: 8, on a 32-bit CPU 4, and the name has an r or e before it

enum source {
    SOURCE_GPR,
    SOURCE_RIP,
    SOURCE_FLAGS,
    SOURCE_MXCSR,
    SOURCE_FPU, // `at` in its image
    // These cannot be set.
    SOURCE_FPU_WORD,
    SOURCE_TAGS,
    SOURCE_ZERO,
    SOURCE_SELECTOR,
    SOURCE_BASE,
    SOURCE_FIELD, // `at` in struct vcpu
    SOURCE_CR8,
};

// A register, or a row of them, NAME0 and on: so many on a 64-bit CPU and on a 32-bit one.
struct row {
    const char *name, *type;
    uint8_t bytes, source;
    uint16_t at;
    uint8_t count, count_32, step, first;
};

#define FIELD_AT(field) offsetof(struct vcpu, field)

// clang-format off
static const struct row core[] = {
    {"ax", "int", NATIVE, SOURCE_GPR, RAX, 1, 1, 0, 0},
    {"bx", "int", NATIVE, SOURCE_GPR, RBX, 1, 1, 0, 0},
    {"cx", "int", NATIVE, SOURCE_GPR, RCX, 1, 1, 0, 0},
    {"dx", "int", NATIVE, SOURCE_GPR, RDX, 1, 1, 0, 0},
    {"si", "int", NATIVE, SOURCE_GPR, RSI, 1, 1, 0, 0},
    {"di", "int", NATIVE, SOURCE_GPR, RDI, 1, 1, 0, 0},
    {"bp", "data_ptr", NATIVE, SOURCE_GPR, RBP, 1, 1, 0, 0},
    {"sp", "data_ptr", NATIVE, SOURCE_GPR, RSP, 1, 1, 0, 0},
    {"r", "int", 8, SOURCE_GPR, R8, 8, 0, 1, 8},
    {"ip", "code_ptr", NATIVE, SOURCE_RIP, 0, 1, 1, 0, 0},
    {"eflags", "x86_eflags", 4, SOURCE_FLAGS, 0, 1, 1, 0, 0},
    {"cs", "int", 4, SOURCE_SELECTOR, CS, 1, 1, 0, 0},
    {"ss", "int", 4, SOURCE_SELECTOR, SS, 1, 1, 0, 0},
    {"ds", "int", 4, SOURCE_SELECTOR, DS, 1, 1, 0, 0},
    {"es", "int", 4, SOURCE_SELECTOR, ES, 1, 1, 0, 0},
    {"fs", "int", 4, SOURCE_SELECTOR, FS, 1, 1, 0, 0},
    {"gs", "int", 4, SOURCE_SELECTOR, GS, 1, 1, 0, 0},
    {"st", "i387_ext", 10, SOURCE_FPU, 32, 8, 8, 16, 0},
    {"fctrl", "int", 4, SOURCE_FPU_WORD, offsetof(struct fpu_image, fcw), 1, 1, 0, 0},
    {"fstat", "int", 4, SOURCE_FPU_WORD, offsetof(struct fpu_image, fsw), 1, 1, 0, 0},
    {"ftag", "int", 4, SOURCE_TAGS, 0, 1, 1, 0, 0},
    {"fiseg", "int", 4, SOURCE_ZERO, 0, 1, 1, 0, 0},
    {"fioff", "int", 4, SOURCE_ZERO, 0, 1, 1, 0, 0},
    {"foseg", "int", 4, SOURCE_ZERO, 0, 1, 1, 0, 0},
    {"fooff", "int", 4, SOURCE_ZERO, 0, 1, 1, 0, 0},
    {"fop", "int", 4, SOURCE_ZERO, 0, 1, 1, 0, 0},
    {0},
};
static const struct row sse[] = {
    {"xmm", "uint128", 16, SOURCE_FPU, 160, 16, 8, 16, 0},
    {"mxcsr", "int", 4, SOURCE_MXCSR, 0, 1, 1, 0, 0},
    {0},
};
static const struct row segments[] = {
    {"fs_base", "int", 8, SOURCE_BASE, FS, 1, 0, 0, 0},
    {"gs_base", "int", 8, SOURCE_BASE, GS, 1, 0, 0, 0},
    {0},
};
static const struct row system_registers[] = {
    {"k_gs_base", "int", 8, SOURCE_FIELD, FIELD_AT(live.kernel_gs_base), 1, 1, 0, 0},
    {"cr0", "int", 8, SOURCE_FIELD, FIELD_AT(cr0), 1, 1, 0, 0},
    {"cr2", "int", 8, SOURCE_FIELD, FIELD_AT(cr2), 1, 1, 0, 0},
    {"cr3", "int", 8, SOURCE_FIELD, FIELD_AT(cr3), 1, 1, 0, 0},
    {"cr4", "int", 8, SOURCE_FIELD, FIELD_AT(cr4), 1, 1, 0, 0},
    {"cr8", "int", 8, SOURCE_CR8, 0, 1, 1, 0, 0},
    {"efer", "int", 8, SOURCE_FIELD, FIELD_AT(efer), 1, 1, 0, 0},
    {0},
};
static const struct feature {
    const char *name;
    const struct row *rows;
} features[] = {
    {"org.gnu.gdb.i386.core", core},
    {"org.gnu.gdb.i386.sse", sse},
    {"org.gnu.gdb.i386.segments", segments},
    {"org.corbel.x86.system", system_registers},
};
static const struct {
    const char *name;
    uint8_t bit;
} flags[] = {
    {"CF", 0}, {"PF", 2}, {"AF", 4}, {"ZF", 6}, {"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10},
    {"OF", 11}, {"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21},
};
// clang-format on

static unsigned count_of(const struct row *row, bool is_64)
{
    return is_64 ? row->count : row->count_32;
}

static unsigned size_of(const struct row *row, bool is_64)
{
    return row->bytes != NATIVE ? row->bytes : is_64 ? 8 : 4;
}

// The row with this register, whose place in it becomes *index; NULL: there is no such register.
static const struct row *find(bool is_64, unsigned number, unsigned *index)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(features); i++)
        for (const struct row *row = features[i].rows; row->name; row++) {
            if (number < count_of(row, is_64)) {
                *index = number;
                return row;
            }
            number -= count_of(row, is_64);
        }
    return NULL;
}

// ---- values ----

// Two bits a register: in use, or empty.
static uint64_t full_tags(uint8_t abridged)
{
    uint64_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        tags |= abridged & BIT(i) ? 0 : UINT64_C(3) << 2 * i;
    return tags;
}

static uint64_t value_of(const struct vcpu *vcpu, const struct row *row, unsigned index)
{
    const struct fpu_image *fpu = vcpu->fpu;
    uint64_t value = 0;
    switch ((enum source)row->source) {
    case SOURCE_GPR:
        return vcpu->gpr[row->at + index];
    case SOURCE_RIP:
        return vcpu->rip;
    case SOURCE_FLAGS:
        return vcpu->rflags;
    case SOURCE_MXCSR:
        return fpu->mxcsr;
    case SOURCE_FPU_WORD:
        memcpy(&value, (const uint8_t *)vcpu->fpu + row->at, 2);
        return value;
    case SOURCE_TAGS:
        return full_tags(fpu->ftw);
    case SOURCE_SELECTOR:
        return vcpu->segment[row->at].selector;
    case SOURCE_BASE:
        return vcpu->segment[row->at].base;
    case SOURCE_FIELD:
        memcpy(&value, (const uint8_t *)vcpu + row->at, sizeof(value));
        return value;
    case SOURCE_CR8:
        return lapic_tpr(vcpu) >> 4;
    case SOURCE_FPU:
    case SOURCE_ZERO:
        break;
    }
    return 0;
}

unsigned gdb_register_read(struct vcpu *vcpu, bool is_64, unsigned number,
                           uint8_t bytes[GDB_REGISTER_MAX])
{
    unsigned index;
    const struct row *row = find(is_64, number, &index);
    if (!row)
        return 0;
    if (row->source == SOURCE_FPU) {
        memcpy(bytes, (const uint8_t *)vcpu->fpu + row->at + index * row->step, row->bytes);
        return row->bytes;
    }
    uint64_t value = value_of(vcpu, row, index);
    memcpy(bytes, &value, sizeof(value));
    return size_of(row, is_64);
}

// It goes on from there: what a shadow held back is over.
static bool set_rip(struct vcpu *vcpu, uint64_t value)
{
    if (vcpu_in_64bit(vcpu) ? !linear_is_canonical(vcpu, value) : value > UINT32_MAX)
        return false;
    vcpu->rip = value;
    vcpu->rflags &= ~RFLAGS_RF;
    vcpu_end_shadow(vcpu);
    vcpu->dirty |= STATE_FLOW;
    return true;
}

static void set_flags(struct vcpu *vcpu, uint64_t value)
{
    vcpu->rflags = (vcpu->rflags & ~FLAGS) | (value & FLAGS);
    if ((value & (RFLAGS_IF | RFLAGS_TF)) != RFLAGS_IF) // an entry wants more for a shadow
        vcpu_end_shadow(vcpu);
    vcpu->dirty |= STATE_FLOW;
}

static void set_fpu(struct vcpu *vcpu, size_t at, const void *bytes, size_t size)
{
    memcpy((uint8_t *)vcpu->fpu + at, bytes, size);
    ((struct fpu_image *)vcpu->fpu)->xstate_bv |= 3;
    vcpu->dirty |= STATE_FPU;
}

bool gdb_register_write(struct vcpu *vcpu, bool is_64, unsigned number,
                        const uint8_t bytes[GDB_REGISTER_MAX])
{
    unsigned index;
    const struct row *row = find(is_64, number, &index);
    uint64_t value = 0;
    if (!row)
        return false;
    memcpy(&value, bytes, MIN(size_of(row, is_64), sizeof(value)));
    switch ((enum source)row->source) {
    case SOURCE_GPR:
        vcpu->gpr[row->at + index] = value;
        vcpu->dirty |= row->at == RSP ? STATE_STACK : 0;
        return true;
    case SOURCE_RIP:
        return set_rip(vcpu, value);
    case SOURCE_FLAGS:
        set_flags(vcpu, value);
        return true;
    case SOURCE_MXCSR:
        value &= MXCSR;
        set_fpu(vcpu, offsetof(struct fpu_image, mxcsr), &value, sizeof(uint32_t));
        return true;
    case SOURCE_FPU:
        set_fpu(vcpu, row->at + index * row->step, bytes, row->bytes);
        return true;
    case SOURCE_FPU_WORD:
    case SOURCE_TAGS:
    case SOURCE_ZERO:
    case SOURCE_SELECTOR:
    case SOURCE_BASE:
    case SOURCE_FIELD:
    case SOURCE_CR8:
        break;
    }
    return false;
}

// ---- the description ----

// What is printed into it comes out cut.
struct window {
    struct printer printer;
    struct printer *to;
    uint64_t skip, most;
};

static void write_window(struct printer *printer, const char *text, size_t length)
{
    struct window *window = CONTAINER_OF(printer, struct window, printer);
    size_t skipped = MIN(window->skip, length), shown = MIN(window->most, length - skipped);
    window->skip -= skipped;
    if (shown)
        window->to->write(window->to, text + skipped, shown);
    window->most -= shown;
}

static void print_register(struct printer *to, const struct row *row, bool is_64, unsigned index)
{
    print_to(to, "<reg name=\"%s%s", row->bytes != NATIVE ? "" : is_64 ? "r" : "e", row->name);
    if (row->step)
        print_to(to, "%u", row->first + index);
    print_to(to, "\" bitsize=\"%u\" type=\"%s\"/>", size_of(row, is_64) * 8, row->type);
}

static void print_feature(struct printer *to, const struct feature *feature, bool is_64)
{
    if (!count_of(feature->rows, is_64)) // which gdb would refuse
        return;
    print_to(to, "<feature name=\"%s\">", feature->name);
    if (feature->rows == core) {
        print_to(to, "<flags id=\"x86_eflags\" size=\"4\">");
        for (unsigned i = 0; i < ARRAY_LENGTH(flags); i++)
            print_to(to, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name,
                     flags[i].bit, flags[i].bit);
        print_to(to, "</flags>");
    }
    for (const struct row *row = feature->rows; row->name; row++)
        for (unsigned i = 0; i < count_of(row, is_64); i++)
            print_register(to, row, is_64, i);
    print_to(to, "</feature>");
}

bool gdb_target_describe(struct printer *to, bool is_64, bool is_16, uint64_t skip, uint64_t most)
{
    struct window window = {{write_window}, to, skip, most};
    struct printer *printer = &window.printer;
    print_to(printer,
             "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
             "<architecture>%s</architecture>",
             is_64   ? "i386:x86-64"
             : is_16 ? "i8086"
                     : "i386");
    for (unsigned i = 0; i < ARRAY_LENGTH(features); i++)
        print_feature(printer, &features[i], is_64);
    print_to(printer, "</target>");
    return !window.most;
}
