// Building one VM out of its description: RAM, page tables, vCPUs, board, kernel; and giving it all
// back.

#include "boot/instance.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "lib/print.h"
#include "lib/string.h"
#include "loaders/files.h"
#include "loaders/loader.h"
#include "loaders/memory_map.h"
#include "mm/frames.h"
#include "mm/paging.h"
#include "vmx/guard.h"
#include "vm/feature.h"
#include "vm/platform.h"
#include "vm/watch.h"
#include "vmx/setup.h"

#define PIECE (UINT64_C(256) << 10) // of RAM that is cleared or filled between looks at the time

// ---- memory ----

static void *source_allocate(struct frame_source *source)
{
    (void)source;
    return frame_allocate();
}
static void source_free(struct frame_source *source, void *frame)
{
    (void)source;
    frame_free(frame);
}
static hpa_t source_address(struct frame_source *source, const void *frame)
{
    (void)source;
    return hpa((uintptr_t)frame);
}
static void *source_pointer(struct frame_source *source, hpa_t address)
{
    (void)source;
    return (void *)address.value;
}

static struct frame_source frames = {source_allocate, source_free, source_address, source_pointer};

// One region of guest RAM: frames, mapped in the EPT with the largest pages that fit, and seen by
// this VM's exits alone.
static status_t add_ram(struct instance *instance, gpa_t start, uint64_t size,
                        struct explanation *why)
{
    struct gmem *memory = &instance->vm.memory;
    if (!size)
        return STATUS_OK;
    void *piece = NULL;
    uint64_t whole = align_up(size, PAGE_2M);
    if (size >= PAGE_1G)
        piece = frames_allocate(whole, PAGE_1G);
    if (!piece)
        piece = frames_allocate(whole, PAGE_2M);
    if (!piece)
        return explain(why, STATUS_NO_MEMORY,
                       "%s: memory = %luM does not fit: %lu MiB of this machine's RAM are free",
                       instance->vm.config.name, instance->vm.config.memory >> 20,
                       frames_free_count() * PAGE_SIZE >> 20);
    hpa_t ram = hpa((uintptr_t)piece);
    paging_hide(ram, whole);
    memory->region[memory->count++] = (struct gmem_region){start, size, paging_window(ram)};
    if (!paging_view_add(instance->machine.view, ram, whole) ||
        ept_map(&instance->machine.ept, start, ram, size, EPT_RAM) != STATUS_OK)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for page tables",
                       instance->vm.config.name);
    return STATUS_OK;
}

static status_t make_memory(struct instance *instance, struct explanation *why)
{
    struct ept_features features = {
        .pages_1g = machine_uses(FEATURE_1G),
        .only_4k = machine_speculation.guards & GUARD_4K,
        .accessed_dirty = machine_uses(FEATURE_EPT_AD),
        .execute_only = capabilities_ept_vpid(&machine_capabilities, EPT_EXECUTE_ONLY),
        .physical_bits = machine_capabilities.raw.physical_bits,
    };
    instance->machine.view = paging_view_make();
    if (!instance->machine.view || ept_init(&instance->machine.ept, &frames, features) != STATUS_OK)
        return explain(why, STATUS_NO_MEMORY, "no memory for page tables");
    struct memory_layout layout = memory_layout(instance->vm.config.memory);
    status_t status = add_ram(instance, gpa(0), layout.low, why);
    if (status == STATUS_OK)
        status = add_ram(instance, gpa(HIGH_MEMORY_START), layout.high, why);
    return status;
}

// ---- vCPUs ----

static status_t make_vcpu(struct instance *instance, unsigned id, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    uint64_t size = align_up(sizeof(struct vmx_vcpu), PAGE_SIZE);
    struct vmx_vcpu *vcpu = frames_allocate(size, PAGE_SIZE);
    struct lapic_page *page = vcpu ? frame_allocate() : NULL;
    if (!page) {
        if (vcpu)
            frames_free(vcpu, size);
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for vCPU %u", vm->config.name, id);
    }
    memset(vcpu, 0, size);
    vcpu->vm = &instance->machine;
    vcpu->guest.vm = vm;
    vcpu->guest.id = (uint16_t)id;
    vcpu->guest.apic_id = id;
    vcpu->guest.events.has_virtual_nmi = machine_uses(FEATURE_VIRTUAL_NMIS);
    vm->vcpu[id] = &vcpu->guest;
    lapic_init(&vcpu->guest, page);
    status_t status = setup_vcpu(vcpu, why);
    if (status == STATUS_OK)
        vcpu_reset(&vcpu->guest, false);
    if (id == 0)
        lapic_virtual_wire(&vcpu->guest);
    return status;
}

// ---- the board ----

static status_t make_board(struct instance *instance, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    if (vm->config.testdev) {
        instance->test_memory = frames_allocate(MMIO_TEST_LENGTH, PAGE_SIZE);
        if (!instance->test_memory)
            return explain(why, STATUS_NO_MEMORY, "%s: no memory for testdev", vm->config.name);
        memset(instance->test_memory, 0, MMIO_TEST_LENGTH);
    }
    return board_build(&instance->board, vm, instance->test_memory, why);
}

// ---- starting ----

// Now is VM time 0 and guest TSC 0.
static void start_clock(struct instance *instance, const struct vms_inputs *inputs)
{
    struct vm *vm = &instance->vm;
    uint64_t now = rdtsc();
    clock_init(&vm->clock, host_tsc_hz, now);
    instance->wall_clock = inputs->wall_clock + (now - inputs->wall_tsc) / host_tsc_hz;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset = 0 - now;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
}

// What vms.conf asks for, and no guest can have.
static void tell_missing_features(struct vm *vm)
{
    const struct vm_config *config = &vm->config;
    for (unsigned i = 0; i < config->feature_count; i++) {
        const struct config_feature *feature = &config->feature[i];
        struct explanation told;
        if (!feature->enable || cpuid_has(&vm->cpuid, cpu_features[feature->index].bit))
            continue;
        (void)explain(&told, STATUS_UNSUPPORTED,
                      "vms.conf:%u: cpuid: +%s: guests cannot have it on this machine; take it out",
                      config->line, cpu_features[feature->index].name);
        vm->host->log(vm, told.text);
    }
}

static status_t build(struct instance *instance, const struct vms_inputs *inputs,
                      struct explanation *why)
{
    struct vm *vm = &instance->vm;
    vm->machine = &instance->machine;
    vm->tick_devices = board_tick;
    vm->vcpu_count = vm->config.cpus;
    instance->machine.vm = vm;
    instance->machine.running = vm->vcpu_count;
    instance->machine.fails_entry = strcmp(vm->config.name, inputs->fail_entry) == 0;

    struct cpuid_inputs cpuid = inputs->cpuid;
    cpuid.vcpu_count = vm->vcpu_count;
    cpuid.feature = vm->config.feature;
    cpuid.feature_count = vm->config.feature_count;
    cpuid.exit_stats = vm->config.exit_stats == EXIT_STATS_CPUID;
    status_t status = cpuid_build(&vm->cpuid, inputs->host_cpuid, &cpuid);
    if (status != STATUS_OK)
        return explain(why, status, "%s: too many CPUID leaves", vm->config.name);
    tell_missing_features(vm);
    status = make_memory(instance, why);
    if (status == STATUS_OK)
        status = setup_vm(&instance->machine, why);
    for (unsigned i = 0; i < vm->vcpu_count && status == STATUS_OK; i++)
        status = make_vcpu(instance, i, why);
    return status == STATUS_OK ? make_board(instance, why) : status;
}

struct instance *instance_create(const struct vm_config *config, const struct vm_host *host,
                                 const struct vms_inputs *inputs, struct explanation *why)
{
    uint64_t size = align_up(sizeof(struct instance), PAGE_SIZE);
    struct instance *instance = frames_allocate(size, PAGE_SIZE);
    if (!instance) {
        (void)explain(why, STATUS_NO_MEMORY, "%s: no memory for another VM", config->name);
        return NULL;
    }
    memset(instance, 0, size);
    instance->vm.config = *config;
    instance->vm.host = host;
    if (build(instance, inputs, why) == STATUS_OK)
        return instance;
    instance_destroy(instance);
    return NULL;
}

// ---- filling ----

void instance_begin_clearing(struct instance *instance)
{
    instance->cleared = (struct instance_cursor){0};
}

bool instance_clear(struct instance *instance, uint64_t until)
{
    struct instance_cursor *at = &instance->cleared;
    const struct gmem *memory = &instance->vm.memory;
    while (at->region < memory->count) {
        const struct gmem_region *region = &memory->region[at->region];
        uint64_t size = MIN(region->size - at->offset, PIECE);
        uint8_t *bytes = region->bytes + at->offset;
        frames_clear(paging_window_hpa(bytes), bytes, size);
        at->offset += size;
        if (at->offset == region->size)
            *at = (struct instance_cursor){.region = at->region + 1};
        if (rdtsc() >= until)
            break;
    }
    return at->region == memory->count;
}

bool instance_copy_later(struct vm *vm, gpa_t to, const void *from, uint64_t size)
{
    struct instance *instance = CONTAINER_OF(vm, struct instance, vm);
    if (instance->copy_count == INSTANCE_COPIES)
        return false;
    instance->copy[instance->copy_count++] = (struct instance_copy){to, from, size};
    return true;
}

static bool copy(struct instance *instance, uint64_t until)
{
    while (instance->copy_count) {
        struct instance_copy *last = &instance->copy[instance->copy_count - 1];
        uint64_t size = MIN(last->size, PIECE);
        bool written = gmem_write(&instance->vm.memory, last->to, last->from, size);
        assert(written); // the loader claimed this place
        last->to = gpa(last->to.value + size);
        last->from += size;
        last->size -= size;
        instance->copy_count -= last->size == 0;
        if (rdtsc() >= until)
            break;
    }
    return instance->copy_count == 0;
}

// The modules are files of fw_cfg, too. A VM that starts anew has them already.
static status_t offer_modules(struct instance *instance, const struct guest_files *files,
                              struct explanation *why)
{
    struct vfwcfg *fwcfg = &instance->board.fwcfg;
    status_t status = STATUS_OK;
    if (!instance->vm.config.testdev || fwcfg->file_count)
        return STATUS_OK;
    for (unsigned i = 0; i < files->module_count && status == STATUS_OK; i++) {
        const struct image *module = &files->module[i];
        char name[sizeof("opt/") + CONFIG_PATH];
        format_text(name, sizeof(name), "opt/%s", module->name);
        status = vfwcfg_add_file(fwcfg, name, module->bytes, (uint32_t)module->size, why);
    }
    return status;
}

static status_t load(struct instance *instance, const struct vms_inputs *inputs,
                     struct explanation *why)
{
    struct vm *vm = &instance->vm;
    struct guest_files files;
    struct explanation wrong;
    status_t status = files_find(&vm->config, inputs->images, inputs->image_count, &files, why);
    if (status != STATUS_OK)
        return status;
    status = offer_modules(instance, &files, &wrong);
    if (status == STATUS_OK)
        status = loader_load(vm, &files.kernel, files.has_initrd ? &files.initrd : NULL,
                             files.module, files.module_count, &wrong);
    if (status != STATUS_OK) // a file may be several VMs'
        return explain(why, status, "VM %s: %s", vm->config.name, wrong.text);
    instance->is_loaded = true;
    return STATUS_OK;
}

enum instance_progress instance_fill(struct instance *instance, const struct vms_inputs *inputs,
                                     uint64_t until, struct explanation *why)
{
    if (!instance_clear(instance, until))
        return INSTANCE_MORE;
    if (!instance->is_loaded && load(instance, inputs, why) != STATUS_OK)
        return INSTANCE_REFUSED;
    if (!copy(instance, until))
        return INSTANCE_MORE;
    start_clock(instance, inputs);
    return INSTANCE_READY;
}

// ---- watching ----

#define WATCH_SIZE align_up(sizeof(struct watch), PAGE_SIZE)

static status_t begin_watch(struct vcpu *vcpu)
{
    struct watch *watch = vcpu->watch ? vcpu->watch : frames_allocate(WATCH_SIZE, PAGE_SIZE);
    if (!watch)
        return STATUS_NO_MEMORY;
    memset(watch, 0, sizeof(*watch));
    vcpu->watch = watch;
    vcpu->dirty |= STATE_WATCH;
    return STATUS_OK;
}

static void end_watch(struct vcpu *vcpu)
{
    vcpu->dirty &= ~(uint32_t)STATE_WATCH;
    if (vcpu->watch)
        frames_free(vcpu->watch, WATCH_SIZE);
    vcpu->watch = NULL;
}

status_t instance_watch(struct instance *instance, bool on)
{
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        if (!on)
            end_watch(instance->vm.vcpu[i]);
        else if (begin_watch(instance->vm.vcpu[i]) != STATUS_OK)
            status = STATUS_NO_MEMORY;
    return status;
}

// ---- the end ----

static void release_vcpu(struct vmx_vcpu *vcpu)
{
    end_watch(&vcpu->guest);
    setup_release_vcpu(vcpu);
    frame_free(vcpu->guest.lapic.page);
    frames_free(vcpu, align_up(sizeof(struct vmx_vcpu), PAGE_SIZE));
}

void instance_destroy(struct instance *instance)
{
    struct vm *vm = &instance->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i])
            release_vcpu(vmx_vcpu(vm->vcpu[i]));
    if (instance->machine.ept.root)
        ept_destroy(&instance->machine.ept);
    for (unsigned i = 0; i < vm->memory.count; i++) {
        const struct gmem_region *region = &vm->memory.region[i];
        hpa_t ram = paging_window_hpa(region->bytes);
        uint64_t whole = align_up(region->size, PAGE_2M);
        paging_show(ram, whole);
        frames_free((void *)ram.value, whole);
    }
    paging_view_free(instance->machine.view);
    if (instance->test_memory)
        frames_free(instance->test_memory, MMIO_TEST_LENGTH);
    setup_release_vm(&instance->machine);
    frames_free(instance, align_up(sizeof(struct instance), PAGE_SIZE));
}
