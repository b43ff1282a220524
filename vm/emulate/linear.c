// Segmentation, and guest-linear memory over the page walk. Called by the instruction emulator and
// by the handlers that reach into guest memory by linear address (string I/O, task switches,
// descriptor tables). SDM: "Protected-Mode Memory Management", "Limit Checking", "Type Checking",
// "Canonical Addressing".

#include "vm/emulate/linear.h"

#include "lib/string.h"
#include "vm/vm.h"

unsigned code_bits(const struct vcpu *vcpu)
{
    if (vcpu_in_64bit(vcpu))
        return 64;
    return vcpu->segment[CS].access & AR_DB ? 32 : 16;
}

unsigned stack_size(const struct vcpu *vcpu)
{
    if (vcpu_in_64bit(vcpu))
        return 8;
    return vcpu->segment[SS].access & AR_DB ? 4 : 2;
}

static bool segment_fault(enum segment_register segment, verdict_t *fault)
{
    return fail_with(fault, segment == SS ? fault_ss(0) : fault_gp(0));
}

// Protected mode only: real and virtual-8086 mode know no types.
static bool type_allows(const struct segment *segment, bool write)
{
    if (segment->access & AR_UNUSABLE)
        return false;
    if (segment->access & TYPE_CODE)
        return !write && (segment->access & TYPE_READABLE);
    return !write || (segment->access & TYPE_WRITABLE);
}

static bool limit_allows(const struct segment *segment, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    bool expands_down = (segment->access & (TYPE_CODE | TYPE_EXPAND_DOWN | AR_CODE_DATA)) ==
                        (TYPE_EXPAND_DOWN | AR_CODE_DATA);
    if (expands_down)
        return offset > segment->limit && last <= (segment->access & AR_DB ? BITS(31, 0) : 0xffff);
    return last <= segment->limit;
}

bool linear_is_canonical(const struct vcpu *vcpu, uint64_t address)
{
    return is_canonical(address, vcpu->cr4 & CR4_LA57 ? 57 : 48);
}

bool segment_linear(const struct vcpu *vcpu, enum segment_register segment, uint64_t offset,
                    unsigned size, bool write, gva_t *linear, verdict_t *fault)
{
    const struct segment *descriptor = &vcpu->segment[segment];
    if (vcpu_in_64bit(vcpu)) {
        bool has_base = segment == FS || segment == GS;
        if (has_base && !(vcpu->fetched & STATE_SEGMENTS))
            return fail_with(fault, need(STATE_SEGMENTS));
        uint64_t base = has_base ? descriptor->base : 0;
        *linear = gva(base + offset);
        if (!linear_is_canonical(vcpu, linear->value) ||
            !linear_is_canonical(vcpu, linear->value + size - 1))
            return segment_fault(segment, fault);
        return true;
    }
    if ((vcpu_is_protected(vcpu) && !type_allows(descriptor, write)) ||
        !limit_allows(descriptor, offset, size))
        return segment_fault(segment, fault);
    *linear = gva((descriptor->base + offset) & BITS(31, 0));
    return true;
}

bool linear_prepare(struct vcpu *vcpu, gva_t linear, unsigned size, uint32_t access,
                    struct linear_span *span, verdict_t *fault)
{
    unsigned room = (unsigned)(PAGE_SIZE - linear.value % PAGE_SIZE);
    unsigned done = 0;
    span->size = size;
    span->parts = size > room ? 2 : 1;
    for (unsigned i = 0; i < span->parts; i++) {
        struct linear_part *part = &span->part[i];
        uint64_t address = linear.value + done;
        if (!(vcpu->efer & EFER_LMA))
            address &= BITS(31, 0);
        if (!walk_linear(vcpu, gva(address), access, &part->walk, fault))
            return false;
        part->physical = part->walk.physical;
        part->length = MIN(size - done, room);
        part->ram = gmem_at(&vcpu->vm->memory, part->physical, part->length);
        if ((access & WALK_WRITE) && gmem_is_rom(&vcpu->vm->memory, part->physical))
            part->ram = NULL;
        done += part->length;
        room = (unsigned)PAGE_SIZE;
    }
    return true;
}

bool linear_mark(const struct vcpu *vcpu, const struct linear_span *span, verdict_t *fault)
{
    for (unsigned i = 0; i < span->parts; i++)
        if (!walk_mark(vcpu, &span->part[i].walk))
            return fail_with(fault, again());
    return true;
}

// One piece of a part that no RAM backs: the largest power of two, up to 8 bytes.
static unsigned piece_size(unsigned remaining)
{
    return remaining >= 8 ? 8 : 1U << highest_bit(remaining);
}

// Reads the range into `bytes`, or writes them there.
static void move(struct vcpu *vcpu, const struct linear_span *span, uint8_t *bytes, bool write,
                 uint64_t now)
{
    for (unsigned i = 0; i < span->parts; i++) {
        const struct linear_part *part = &span->part[i];
        bool is_ram = part->ram;
        if (is_ram && write)
            is_ram = gmem_write(&vcpu->vm->memory, part->physical, bytes, part->length);
        else if (is_ram)
            gmem_move(bytes, part->ram, part->length);
        for (unsigned done = 0, size; !is_ram && done < part->length; done += size) {
            size = piece_size(part->length - done);
            struct access access = {.offset = part->physical.value + done,
                                    .size = (uint8_t)size,
                                    .write = write,
                                    .now = now};
            if (write)
                memcpy(&access.value, bytes + done, size);
            vm_mmio_access(vcpu, &access);
            if (!write)
                memcpy(bytes + done, &access.value, size);
        }
        bytes += part->length;
    }
}

void linear_load(struct vcpu *vcpu, const struct linear_span *span, void *to, uint64_t now)
{
    move(vcpu, span, to, false, now);
}

void linear_store(struct vcpu *vcpu, const struct linear_span *span, const void *from, uint64_t now)
{
    move(vcpu, span, (uint8_t *)from, true, now);
}

static uint32_t access_of(const struct vcpu *vcpu, bool user)
{
    if (user)
        return WALK_USER;
    return vcpu->cpl == 3 ? WALK_IMPLICIT : 0;
}

// The steps of an access by linear address, in one.
static bool access_linear(struct vcpu *vcpu, gva_t linear, void *bytes, unsigned size,
                          uint32_t access, uint64_t now, verdict_t *fault)
{
    struct linear_span span;
    if (!linear_prepare(vcpu, linear, size, access, &span, fault) ||
        !linear_mark(vcpu, &span, fault))
        return false;
    move(vcpu, &span, bytes, access & WALK_WRITE, now);
    return true;
}

bool linear_read(struct vcpu *vcpu, gva_t from, void *to, unsigned size, bool user, uint64_t now,
                 verdict_t *fault)
{
    return access_linear(vcpu, from, to, size, access_of(vcpu, user), now, fault);
}

bool linear_write(struct vcpu *vcpu, gva_t to, const void *from, unsigned size, bool user,
                  uint64_t now, verdict_t *fault)
{
    return access_linear(vcpu, to, (void *)from, size, access_of(vcpu, user) | WALK_WRITE, now,
                         fault);
}

bool linear_fetch(struct vcpu *vcpu, uint8_t bytes[INSTRUCTION_MAX], unsigned *count,
                  verdict_t *fault)
{
    const struct segment *code = &vcpu->segment[CS];
    bool is_64bit = vcpu_in_64bit(vcpu);
    uint64_t offset = vcpu->rip + *count;
    uint64_t linear = is_64bit ? offset : (code->base + (offset & BITS(31, 0))) & BITS(31, 0);
    uint64_t length = MIN(INSTRUCTION_MAX - *count, PAGE_SIZE - linear % PAGE_SIZE);
    if (is_64bit ? !linear_is_canonical(vcpu, linear) : offset > code->limit)
        length = 0;
    else if (!is_64bit)
        length = MIN(length, code->limit - offset + 1);
    if (length == 0)
        return fail_with(fault, fault_gp(0));

    uint32_t access = WALK_FETCH | (vcpu->cpl == 3 ? WALK_USER : 0);
    struct walk walk;
    if (!walk_linear(vcpu, gva(linear), access, &walk, fault))
        return false;
    const uint8_t *ram = gmem_at(&vcpu->vm->memory, walk.physical, length);
    if (!ram)
        return fail_with(fault, vcpu->cpl == 3 ? fault_gp(0) : stop(STOP_BAD_MEMORY, 0));
    if (!walk_mark(vcpu, &walk))
        return fail_with(fault, again());
    memcpy(bytes + *count, ram, length);
    *count += (unsigned)length;
    return true;
}

bool linear_peek(struct vcpu *vcpu, uint64_t linear, gpa_t *physical)
{
    struct walk walk;
    verdict_t fault;
    uint64_t cr2 = vcpu->cr2;
    bool cr2_dirty = vcpu->cr2_dirty;
    bool is_linear =
        vcpu->efer & EFER_LMA ? linear_is_canonical(vcpu, linear) : linear <= UINT32_MAX;
    bool found = is_linear && (walk_linear(vcpu, gva(linear), 0, &walk, &fault) ||
                               walk_linear(vcpu, gva(linear), WALK_USER, &walk, &fault));
    vcpu->cr2 = cr2;
    vcpu->cr2_dirty = cr2_dirty;
    if (found)
        *physical = walk.physical;
    return found;
}

unsigned linear_peek_code(struct vcpu *vcpu, uint8_t *bytes, unsigned size)
{
    bool is_64bit = vcpu_in_64bit(vcpu);
    uint64_t base = is_64bit ? 0 : vcpu->segment[CS].base;
    gpa_t physical;
    for (unsigned i = 0; i < size; i++) {
        uint64_t linear = base + vcpu->rip + i;
        if (!linear_peek(vcpu, is_64bit ? linear : (uint32_t)linear, &physical) ||
            !gmem_read(&vcpu->vm->memory, physical, bytes + i, 1))
            return i;
    }
    return size;
}
