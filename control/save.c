// What a saved VM consists of. Called by control/saving.c.

#include "control/save.h"

#include "arch/x86_64/tsc.h"
#include "drivers/virt/board.h"
#include "lib/string.h"
#include "mm/tables/frames.h"

#define SECTIONS (UINT64_C(256) << 10) // the largest section of fields has that at most

#define NS_PER_SECOND UINT64_C(1000000000)

// What is too large for a stack.
struct scratch {
    char ours[SAVED_TEXT], theirs[SAVED_TEXT];
    _Alignas(8) uint8_t section[SECTIONS];
};
#define SCRATCH align_up(sizeof(struct scratch), PAGE_SIZE)

// ---- texts ----

// What the VM that it becomes must have, too: a line each, behind one with its name.
static void describe(const struct domain *domain, char text[SAVED_TEXT])
{
    static const char *const firmware[] = {"none", "seabios", "ovmf"};
    const struct vm_config *config = domain->config;
    format_text(text, SAVED_TEXT, "%s\ncpus = %u\nmemory = %luK\nfirmware = %s\n", config->name,
                config->cpus, config->memory >> 10,
                firmware[index_below(config->traits.firmware, ARRAY_LENGTH(firmware))]);
}

static void describe_cpu(const struct vm *vm, char text[SAVED_TEXT])
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < cpu_feature_count && used < SAVED_TEXT; i++)
        if (cpuid_has(&vm->cpuid, cpu_features[i].bit))
            used +=
                (size_t)format_text(text + used, SAVED_TEXT - used, "%s\n", cpu_features[i].name);
}

// ---- spaces ----

struct space {
    char name[8];
    uint64_t size;
    const struct gmem *memory;
    bool begins_as_zeros;
};

// Its RAM, then its ROM if it can write to that, then the disks that it can write to. False: there
// is none of this number.
static bool space_at(const struct domain *domain, unsigned number, struct space *space)
{
    const struct vm *vm = &domain->instance->vm;
    unsigned disk = number - 2;
    *space = (struct space){"ram", vm->traits.memory, &vm->memory, true};
    if (number == 1)
        *space = (struct space){"rom", domain->rom.flash ? domain->rom.size : 0,
                                &domain->rom.memory, false};
    if (number < 2)
        return true;
    if (disk >= domain->disks.count)
        return false;
    const struct block *block = &domain->disks.disk[disk].block;
    *space = (struct space){"", block->image ? 0 : block->sectors * BLOCK_SECTOR, &block->data,
                            !block->data.image};
    format_text(space->name, sizeof(space->name), "disk%u", disk);
    return true;
}

// ---- out ----

static bool write_spaces(const struct domain *domain, struct saved_writer *writer)
{
    struct space space;
    for (unsigned i = 0; space_at(domain, i, &space); i++)
        if (space.size &&
            !saved_put_space(writer, space.name, space.size, space.memory, space.begins_as_zeros))
            return false;
    return true;
}

static bool write_sections(struct vm *vm, struct saved_writer *writer, struct scratch *scratch)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        size_t length = vcpu_save_state(vm->vcpu[i], scratch->section, SECTIONS);
        if (length > SECTIONS ||
            !saved_put(writer, SAVED_VCPU, i, scratch->section, (uint32_t)length))
            return false;
    }
    size_t length = board_save(vm, scratch->section, SECTIONS);
    return length <= SECTIONS &&
           saved_put(writer, SAVED_BOARD, 0, scratch->section, (uint32_t)length);
}

static bool write_all(struct domain *domain, struct saved_writer *writer, struct scratch *scratch)
{
    struct instance *instance = domain->instance;
    struct vm *vm = &instance->vm;
    struct saved_time time = {.tsc_hz = vm->clock.hz,
                              .host_tsc = instance->parked_at,
                              .ns = clock_ns(&vm->clock, instance->parked_at)};
    describe(domain, scratch->ours);
    describe_cpu(vm, scratch->theirs);
    if (!saved_begin(writer) ||
        !saved_put(writer, SAVED_VM, 0, scratch->ours, (uint32_t)strlen(scratch->ours)) ||
        !saved_put(writer, SAVED_CPU, 0, scratch->theirs, (uint32_t)strlen(scratch->theirs)) ||
        !write_spaces(domain, writer))
        return false;
    return saved_put(writer, SAVED_TIME, 0, &time, sizeof(time)) &&
           write_sections(vm, writer, scratch) && saved_end(writer);
}

status_t save_write(struct domain *domain, struct saved_writer *writer, struct explanation *why)
{
    if (domain->instance->vm.vcpu[0]->debugged) // whose breakpoints would be saved
        return explain(why, STATUS_UNSUPPORTED, "a debugger is attached to it");
    unsigned owner = domain->instance->vm.id;
    struct scratch *scratch = frames_allocate(SCRATCH, PAGE_SIZE, owner);
    if (!scratch)
        return explain(why, STATUS_NO_MEMORY, "no memory to save it");
    bool is_written = write_all(domain, writer, scratch);
    memset(scratch, 0, SCRATCH);
    frames_free(scratch, SCRATCH, owner);
    return is_written ? STATUS_OK : explain(why, STATUS_INVALID, "called off");
}

// ---- in ----

// The first line of `lines` that is none of `among`, from a line's beginning to its end; NULL:
// there is none.
static const char *missing_line(const char *lines, const char *among, size_t *length)
{
    for (const char *line = lines; *line; line += *length + (line[*length] == '\n')) {
        bool is_there = false;
        const char *end = strchr(line, '\n');
        *length = end ? (size_t)(end - line) : strlen(line);
        for (const char *at = among; *at && !is_there; at += *at == '\n') {
            size_t other = 0;
            while (at[other] && at[other] != '\n')
                other++;
            is_there = other == *length && memcmp(at, line, other) == 0;
            at += other;
        }
        if (!is_there)
            return line;
    }
    return NULL;
}

static const char *behind_first_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end ? end + 1 : text + strlen(text);
}

static status_t read_vm(struct domain *domain, struct saved_reader *reader, struct scratch *scratch,
                        struct explanation *why)
{
    struct saved_record record;
    size_t length;
    status_t status = saved_expect(reader, SAVED_VM, &record, why);
    if (status == STATUS_OK)
        status = saved_text(reader, &record, scratch->theirs, why);
    if (status != STATUS_OK)
        return status;
    describe(domain, scratch->ours);
    const char *line =
        missing_line(behind_first_line(scratch->theirs), behind_first_line(scratch->ours), &length);
    return line ? explain(why, STATUS_INVALID, "it was saved with '%.*s': write that", (int)length,
                          line)
                : STATUS_OK;
}

static status_t read_cpu(const struct vm *vm, struct saved_reader *reader, struct scratch *scratch,
                         struct explanation *why)
{
    struct saved_record record;
    size_t length;
    status_t status = saved_expect(reader, SAVED_CPU, &record, why);
    if (status == STATUS_OK)
        status = saved_text(reader, &record, scratch->theirs, why);
    if (status != STATUS_OK)
        return status;
    describe_cpu(vm, scratch->ours);
    const char *name = missing_line(scratch->theirs, scratch->ours, &length);
    if (name)
        return explain(why, STATUS_UNSUPPORTED,
                       "its CPUs had %.*s, which this machine does not give it", (int)length, name);
    name = missing_line(scratch->ours, scratch->theirs, &length);
    return name ? explain(why, STATUS_UNSUPPORTED,
                          "its CPUs did not have %.*s: take it away: cpuid = -%.*s", (int)length,
                          name, (int)length, name)
                : STATUS_OK;
}

// A space that the saved VM had, and this one has, too; they come in the same order.
static status_t read_space(struct domain *domain, struct saved_reader *reader,
                           const struct saved_record *record, struct scratch *scratch,
                           unsigned *next, struct space *space, struct explanation *why)
{
    status_t status = saved_text(reader, record, scratch->theirs, why);
    if (status != STATUS_OK)
        return status;
    do
        if (!space_at(domain, (*next)++, space))
            return explain(why, STATUS_INVALID, "it had '%s', which this one has not",
                           scratch->theirs);
    while (strcmp(space->name, scratch->theirs) != 0);
    return space->size == record->at
               ? STATUS_OK
               : explain(why, STATUS_INVALID, "its %s had %lu bytes, this one has %lu", space->name,
                         record->at, space->size);
}

// Spaces and their pages; *record becomes what follows them.
static status_t read_spaces(struct domain *domain, struct saved_reader *reader,
                            struct scratch *scratch, struct saved_record *record,
                            struct explanation *why)
{
    struct space space = {.size = 0};
    for (unsigned next = 0;;) {
        status_t status = saved_next(reader, record, why);
        if (status == STATUS_OK && record->type == SAVED_SPACE)
            status = read_space(domain, reader, record, scratch, &next, &space, why);
        else if (status == STATUS_OK && record->type == SAVED_PAGES && space.size)
            status = saved_pages(reader, record, space.memory, why);
        else
            return status;
        if (status != STATUS_OK)
            return status;
    }
}

// The guest's clocks go on from where they stood.
static status_t read_time(struct instance *instance, struct saved_reader *reader,
                          const struct saved_record *record, struct saved_time *time,
                          struct explanation *why)
{
    if (record->type != SAVED_TIME)
        return explain(why, STATUS_INVALID, "a record of type %u where its time is expected",
                       record->type);
    status_t status = saved_body(reader, record, time, sizeof(*time), sizeof(*time), why);
    if (status != STATUS_OK)
        return status;
    uint64_t ours = instance->vm.clock.hz;
    uint64_t apart = time->tsc_hz > ours ? time->tsc_hz - ours : ours - time->tsc_hz;
    if (apart > ours / 1000)
        return explain(why, STATUS_UNSUPPORTED,
                       "its time stamp counter had %lu kHz, that of this machine has %lu",
                       time->tsc_hz / 1000, ours / 1000);
    return time->ns / NS_PER_SECOND < BIT(61) / ours
               ? STATUS_OK
               : explain(why, STATUS_RANGE, "it ran for %#lx ns", time->ns);
}

static status_t read_vcpu(struct vcpu *vcpu, struct saved_reader *reader, struct scratch *scratch,
                          struct explanation *why)
{
    struct saved_record record;
    status_t status = saved_expect(reader, SAVED_VCPU, &record, why);
    if (status == STATUS_OK)
        status = saved_body(reader, &record, scratch->section, 0, SECTIONS, why);
    if (status != STATUS_OK)
        return status;
    struct section_input look = {scratch->section, record.length}, load = look;
    status = vcpu_load_state(vcpu, &look, false, why);
    if (status == STATUS_OK && look.left)
        status = explain(why, STATUS_INVALID, "vCPU %u: %zu bytes behind it", vcpu->id, look.left);
    return status == STATUS_OK ? vcpu_load_state(vcpu, &load, true, why) : status;
}

static status_t read_sections(struct vm *vm, struct saved_reader *reader, struct scratch *scratch,
                              struct explanation *why)
{
    struct saved_record record;
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < vm->vcpu_count && status == STATUS_OK; i++)
        status = read_vcpu(vm->vcpu[i], reader, scratch, why);
    if (status == STATUS_OK)
        status = saved_expect(reader, SAVED_BOARD, &record, why);
    if (status == STATUS_OK)
        status = saved_body(reader, &record, scratch->section, 0, SECTIONS, why);
    if (status == STATUS_OK)
        status = board_load(vm, scratch->section, record.length, why);
    if (status == STATUS_OK)
        status = saved_expect(reader, SAVED_END, &record, why);
    return status == STATUS_OK ? saved_finish(reader, &record, why) : status;
}

// By the offset of its counter a guest's time is the host's; that stood still for it.
static void set_clocks(struct instance *instance, const struct saved_time *time)
{
    struct vm *vm = &instance->vm;
    uint64_t now = rdtsc();
    instance->wall_clock -= time->ns / NS_PER_SECOND;
    vm->clock.epoch = now - scale_32(time->ns, vm->clock.tsc_per_ns);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vm->vcpu[i]->tsc_offset += time->host_tsc - now;
}

static status_t read_all(struct domain *domain, struct saved_reader *reader,
                         struct scratch *scratch, struct explanation *why)
{
    struct instance *instance = domain->instance;
    struct vm *vm = &instance->vm;
    struct saved_record record;
    struct saved_time time;
    instance_start_clock(instance);
    status_t status = saved_open(reader, why);
    if (status == STATUS_OK)
        status = read_vm(domain, reader, scratch, why);
    if (status == STATUS_OK)
        status = read_cpu(vm, reader, scratch, why);
    if (status == STATUS_OK)
        status = read_spaces(domain, reader, scratch, &record, why);
    if (status == STATUS_OK)
        status = read_time(instance, reader, &record, &time, why);
    if (status == STATUS_OK)
        status = read_sections(vm, reader, scratch, why);
    if (status != STATUS_OK)
        return status;
    set_clocks(instance, &time);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_loaded(vm->vcpu[i]);
    board_renew_generation(vm, &vm->generation);
    return STATUS_OK;
}

status_t save_read(struct domain *domain, struct saved_reader *reader, const char *name,
                   struct explanation *why)
{
    unsigned owner = domain->instance->vm.id;
    struct explanation wrong;
    struct scratch *scratch = frames_allocate(SCRATCH, PAGE_SIZE, owner);
    if (!scratch)
        return config_explain(why, STATUS_NO_MEMORY, domain->config, "restore",
                              "no memory to restore it");
    status_t status = read_all(domain, reader, scratch, &wrong);
    memset(scratch, 0, SCRATCH);
    frames_free(scratch, SCRATCH, owner);
    return status == STATUS_OK ? status
                               : config_explain(why, status, domain->config, "restore",
                                                "restore = %s: %s", name, wrong.text);
}
