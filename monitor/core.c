// The file: header, program headers, notes (one of each kind a vCPU), RAM. Called by whoever sends
// it.

#include "monitor/core.h"

#include "lib/string.h"

#define ELF_CORE       4
#define ELF_LOAD       1
#define ELF_NOTE       4
#define ELF_X86_64     62
#define NT_PRSTATUS    1
#define ALIGNMENT      UINT64_C(4096)
#define ACCESS_TO_DESC 8 // access rights, as they stand in a descriptor's second half

struct elf_header {
    uint8_t identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, segments_at, sections_at;
    uint32_t flags;
    uint16_t header_size, segment_size, segments, section_size, sections, names;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, virtual, physical, file_size, memory_size, alignment;
};

struct note_head {
    uint32_t name_size, size, type;
    char name[8];
};

// Linux' struct elf_prstatus.
struct prstatus {
    struct note_head head;
    uint8_t before[32];
    uint32_t pid;
    uint8_t between[76];
    struct __attribute__((packed)) {
        uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
        uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
    } registers;
    uint8_t after[8];
} __attribute__((packed));

struct qemu_segment {
    uint32_t selector, limit, flags, padding;
    uint64_t base;
};

struct qemu_note {
    struct note_head head;
    uint32_t version, size; // from here on
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8[8], rip, rflags;
    struct qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
    uint64_t cr[5], kernel_gs_base;
} __attribute__((packed));

struct notes_of {
    struct prstatus prstatus;
    struct qemu_note qemu;
} __attribute__((packed));

_Static_assert(sizeof(struct elf_header) == 64 && sizeof(struct elf_segment) == 56, "ELF's");
_Static_assert(sizeof(struct prstatus) == 20 + 336, "Linux' for x86-64");
_Static_assert(sizeof(struct qemu_note) == 20 + 440, "QEMU's, version 1");

static uint64_t head_size(const struct vm *vm)
{
    return sizeof(struct elf_header) + (1 + vm->memory.count) * sizeof(struct elf_segment);
}

static uint64_t notes_size(const struct vm *vm)
{
    return vm->vcpu_count * sizeof(struct notes_of);
}

static uint64_t ram_offset(const struct vm *vm)
{
    return align_up(head_size(vm) + notes_size(vm), ALIGNMENT);
}

uint64_t core_size(const struct vm *vm)
{
    uint64_t size = ram_offset(vm);
    for (unsigned i = 0; i < vm->memory.count; i++)
        size += vm->memory.region[i].size;
    return size;
}

// ---- the parts ----

static struct elf_header header_of(const struct vm *vm)
{
    return (struct elf_header){
        .identification = {0x7f, 'E', 'L', 'F', 2, 1, 1}, // 64 bits, little-endian, version 1
        .type = ELF_CORE,
        .machine = ELF_X86_64,
        .version = 1,
        .segments_at = sizeof(struct elf_header),
        .header_size = sizeof(struct elf_header),
        .segment_size = sizeof(struct elf_segment),
        .segments = (uint16_t)(1 + vm->memory.count),
    };
}

// The notes are the first; then a region each.
static struct elf_segment segment_of(const struct vm *vm, unsigned index)
{
    uint64_t offset = ram_offset(vm);
    if (index == 0)
        return (struct elf_segment){.type = ELF_NOTE,
                                    .offset = head_size(vm),
                                    .file_size = notes_size(vm),
                                    .memory_size = notes_size(vm)};
    const struct gmem_region *region = &vm->memory.region[index - 1];
    for (unsigned i = 0; i + 1 < index; i++)
        offset += vm->memory.region[i].size;
    return (struct elf_segment){.type = ELF_LOAD,
                                .flags = 7,
                                .offset = offset,
                                .virtual = region->start.value,
                                .physical = region->start.value,
                                .file_size = region->size,
                                .memory_size = region->size,
                                .alignment = ALIGNMENT};
}

static struct prstatus prstatus_of(const struct vcpu *vcpu)
{
    const uint64_t *gpr = vcpu->gpr;
    struct prstatus note = {
        .head = {sizeof("CORE"), sizeof(note) - sizeof(note.head), NT_PRSTATUS, "CORE"},
        .pid = vcpu->id + 1U,
        .registers = {.rbp = gpr[RBP],
                      .rbx = gpr[RBX],
                      .rax = gpr[RAX],
                      .rcx = gpr[RCX],
                      .rdx = gpr[RDX],
                      .rsi = gpr[RSI],
                      .rdi = gpr[RDI],
                      .orig_rax = gpr[RAX],
                      .rsp = gpr[RSP],
                      .r8 = gpr[R8],
                      .r9 = gpr[R9],
                      .r10 = gpr[R10],
                      .r11 = gpr[R11],
                      .r12 = gpr[R12],
                      .r13 = gpr[R13],
                      .r14 = gpr[R14],
                      .r15 = gpr[R15],
                      .rip = vcpu->rip,
                      .rflags = vcpu->rflags,
                      .cs = vcpu->segment[CS].selector,
                      .ss = vcpu->segment[SS].selector,
                      .ds = vcpu->segment[DS].selector,
                      .es = vcpu->segment[ES].selector,
                      .fs = vcpu->segment[FS].selector,
                      .gs = vcpu->segment[GS].selector,
                      .fs_base = vcpu->segment[FS].base,
                      .gs_base = vcpu->segment[GS].base},
    };
    return note;
}

static struct qemu_segment qemu_segment(const struct segment *segment)
{
    return (struct qemu_segment){.selector = segment->selector,
                                 .limit = segment->limit,
                                 .flags = (segment->access & 0xf0ff) << ACCESS_TO_DESC,
                                 .base = segment->base};
}

static struct qemu_note qemu_note_of(const struct vcpu *vcpu)
{
    const uint64_t *gpr = vcpu->gpr;
    const struct segment *segment = vcpu->segment;
    struct qemu_note note = {
        .head = {sizeof("QEMU"), sizeof(note) - sizeof(note.head), 0, "QEMU"},
        .version = 1,
        .size = sizeof(note) - sizeof(note.head),
        .rax = gpr[RAX],
        .rbx = gpr[RBX],
        .rcx = gpr[RCX],
        .rdx = gpr[RDX],
        .rsi = gpr[RSI],
        .rdi = gpr[RDI],
        .rsp = gpr[RSP],
        .rbp = gpr[RBP],
        .rip = vcpu->rip,
        .rflags = vcpu->rflags,
        .cs = qemu_segment(&segment[CS]),
        .ds = qemu_segment(&segment[DS]),
        .es = qemu_segment(&segment[ES]),
        .fs = qemu_segment(&segment[FS]),
        .gs = qemu_segment(&segment[GS]),
        .ss = qemu_segment(&segment[SS]),
        .ldt = qemu_segment(&segment[LDTR]),
        .tr = qemu_segment(&segment[TR]),
        .gdt = {.base = vcpu->gdtr.base, .limit = vcpu->gdtr.limit},
        .idt = {.base = vcpu->idtr.base, .limit = vcpu->idtr.limit},
        .cr = {vcpu->cr0, 0, vcpu->cr2, vcpu->cr3, vcpu->cr4},
        .kernel_gs_base = vcpu->live.kernel_gs_base,
    };
    memcpy(note.r8, &gpr[R8], sizeof(note.r8));
    return note;
}

// ---- reading ----

// What of a part lies behind `offset` in it.
static uint64_t copy(uint8_t *to, uint64_t length, const void *part, uint64_t size, uint64_t offset)
{
    uint64_t count = min_once(length, size - offset);
    memcpy(to, (const uint8_t *)part + offset, count);
    return count;
}

static uint64_t read_head(const struct vm *vm, uint64_t offset, uint8_t *to, uint64_t length)
{
    struct elf_header header = header_of(vm);
    if (offset < sizeof(header))
        return copy(to, length, &header, sizeof(header), offset);
    offset -= sizeof(header);
    struct elf_segment segment = segment_of(vm, (unsigned)(offset / sizeof(segment)));
    return copy(to, length, &segment, sizeof(segment), offset % sizeof(segment));
}

static uint64_t read_notes(const struct vm *vm, uint64_t offset, uint8_t *to, uint64_t length)
{
    const struct vcpu *vcpu = vm->vcpu[offset / sizeof(struct notes_of)];
    struct notes_of notes = {prstatus_of(vcpu), qemu_note_of(vcpu)};
    return copy(to, length, &notes, sizeof(notes), offset % sizeof(notes));
}

uint64_t core_read(const struct vm *vm, uint64_t offset, uint8_t *to, uint64_t length)
{
    uint64_t head = head_size(vm), notes_end = head + notes_size(vm), ram = ram_offset(vm);
    if (offset < head)
        return read_head(vm, offset, to, length);
    if (offset < notes_end)
        return read_notes(vm, offset - head, to, length);
    if (offset < ram) {
        length = min_once(length, ram - offset);
        memset(to, 0, length);
        return length;
    }
    offset -= ram;
    for (unsigned i = 0; i < vm->memory.count; i++) {
        const struct gmem_region *region = &vm->memory.region[i];
        if (offset < region->size) {
            length = min_once(length, region->size - offset);
            if (!gmem_read(&vm->memory, gpa(region->start.value + offset), to, length))
                memset(to, 0, length);
            return length;
        }
        offset -= region->size;
    }
    return 0;
}
