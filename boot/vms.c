// Building VMs. Everything that a VM has is in one piece of memory here, its RAM apart.

#include "boot/vms.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "drivers/host/console.h"
#include "drivers/virt/board.h"
#include "lib/string.h"
#include "loaders/files.h"
#include "loaders/loader.h"
#include "loaders/memory_map.h"
#include "mm/frames.h"
#include "monitor/summary.h"
#include "vm/platform.h"
#include "vmx/loop.h"
#include "vmx/run.h"
#include "vmx/setup.h"

struct instance {
    struct vm vm;
    struct vmx_vm machine;
    struct board board;
    uint64_t wall_clock; // seconds since 1970 at VM time 0
};

static struct vms_inputs inputs;
static struct instance *instances[CONFIG_VMS];
static unsigned instance_count;
static _Atomic unsigned running_count;
static char end_text[64] = "stopped no VM could be started";

void vms_init(const struct vms_inputs *given)
{
    inputs = *given;
}

// ---- services for the guest half ----

static bool console_write_byte(struct vm *vm, unsigned port, uint8_t byte)
{
    (void)vm;
    char text = (char)byte;
    if (port != 0)
        return true;
    // The guest waits for a slow line instead of losing text; vms_console_room() lets it go on.
    if (!console_has_room(1))
        return false;
    console_write(&text, 1);
    return true;
}

static uint64_t wall_clock(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm)->wall_clock;
}

static void log_line(struct vm *vm, const char *text)
{
    print_to(console_printer(), "[%s] %s\n", vm->config.name, text);
}

static const struct vm_host services = {
    .kick = run_kick,
    .console_write = console_write_byte,
    .wall_clock = wall_clock,
    .log = log_line,
};

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

// One region of guest RAM: cleared frames, mapped in the EPT with the largest pages that fit.
static status_t add_ram(struct instance *instance, gpa_t start, uint64_t size,
                        struct explanation *why)
{
    struct gmem *memory = &instance->vm.memory;
    if (!size)
        return STATUS_OK;
    uint8_t *bytes = NULL;
    if (size >= PAGE_1G)
        bytes = frames_allocate(size, PAGE_1G);
    if (!bytes)
        bytes = frames_allocate(size, PAGE_2M);
    if (!bytes)
        return explain(why, STATUS_NO_MEMORY,
                       "%s: memory = %luM does not fit: %lu MiB of this machine's RAM are free",
                       instance->vm.config.name, instance->vm.config.memory >> 20,
                       frames_free_count() * PAGE_SIZE >> 20);
    memset(bytes, 0, size);
    memory->region[memory->count++] = (struct gmem_region){start, size, bytes};
    if (ept_map(&instance->machine.ept, start, hpa((uintptr_t)bytes), size, EPT_RAM) != STATUS_OK)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for page tables",
                       instance->vm.config.name);
    return STATUS_OK;
}

static status_t make_memory(struct instance *instance, struct explanation *why)
{
    struct ept_features features = {
        .pages_1g = machine_uses(FEATURE_1G),
        .accessed_dirty = machine_uses(FEATURE_EPT_AD),
        .execute_only = capabilities_ept_vpid(&machine_capabilities, EPT_EXECUTE_ONLY),
        .physical_bits = machine_capabilities.raw.physical_bits,
    };
    if (ept_init(&instance->machine.ept, &frames, features) != STATUS_OK)
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
    struct lapic_page *page = frame_allocate();
    if (!vcpu || !page)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for vCPU %u", vm->config.name, id);
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

// ---- starting ----

// Now is VM time 0 and guest TSC 0.
static void start_clock(struct instance *instance)
{
    struct vm *vm = &instance->vm;
    uint64_t now = rdtsc();
    clock_init(&vm->clock, host_tsc_hz, now);
    instance->wall_clock = inputs.wall_clock + (now - inputs.wall_tsc) / host_tsc_hz;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset = 0 - now;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
}

static status_t build(struct instance *instance, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    struct guest_files files;
    status_t status = files_find(&vm->config, inputs.images, inputs.image_count, &files, why);
    if (status != STATUS_OK)
        return status;
    vm->host = &services;
    vm->machine = &instance->machine;
    vm->tick_devices = board_tick;
    vm->vcpu_count = vm->config.cpus;
    instance->machine.vm = vm;
    instance->machine.running = vm->vcpu_count;

    struct cpuid_inputs cpuid = inputs.cpuid;
    cpuid.vcpu_count = vm->vcpu_count;
    cpuid.feature = vm->config.feature;
    cpuid.feature_count = vm->config.feature_count;
    status = cpuid_build(&vm->cpuid, inputs.host_cpuid, &cpuid);
    if (status != STATUS_OK)
        return explain(why, status, "%s: too many CPUID leaves", vm->config.name);
    status = make_memory(instance, why);
    if (status == STATUS_OK)
        status = setup_vm(&instance->machine, why);
    for (unsigned i = 0; i < vm->vcpu_count && status == STATUS_OK; i++)
        status = make_vcpu(instance, i, why);
    if (status == STATUS_OK)
        status = board_build(&instance->board, vm, why);
    if (status == STATUS_OK)
        status = loader_load(vm, &files.kernel, files.has_initrd ? &files.initrd : NULL,
                             files.module, files.module_count, why);
    start_clock(instance);
    return status;
}

status_t vms_start(const struct vm_config *config, struct explanation *why)
{
    uint64_t size = align_up(sizeof(struct instance), PAGE_SIZE);
    struct instance *instance = frames_allocate(size, PAGE_SIZE);
    if (!instance || instance_count == CONFIG_VMS)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for another VM", config->name);
    memset(instance, 0, size);
    instance->vm.config = *config;
    instance->vm.id = instance_count + 1;
    status_t status = build(instance, why);
    if (status != STATUS_OK)
        return status;
    instances[instance_count++] = instance;
    atomic_fetch_add(&running_count, 1);
    unsigned online = 0, online_cpus[CPUS];
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpus[i].online)
            online_cpus[online++] = i;
    static unsigned next_cpu;
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]), online_cpus[next_cpu++ % online]);
    return STATUS_OK;
}

unsigned vms_running(void)
{
    return running_count;
}

bool vms_console_input(uint8_t byte)
{
    return instance_count && board_uart_receive(&instances[0]->vm, 0, byte);
}

void vms_console_room(void)
{
    for (unsigned i = 0; i < instance_count; i++)
        board_uart_room(&instances[i]->vm);
}

void vms_kill_all(void)
{
    for (unsigned i = 0; i < instance_count; i++)
        vm_stop(&instances[i]->vm, STOP_KILLED, 0);
}

void vms_stopped(struct vm *vm)
{
    enum stop_reason reason = vm->stop_reason;
    summary_print(console_printer(), vm);
    if (reason == STOP_POWEROFF)
        format_text(end_text, sizeof(end_text), "poweroff");
    else if (reason == STOP_DEBUG_EXIT)
        format_text(end_text, sizeof(end_text), "debug-exit %u", vm->stop_code);
    else
        format_text(end_text, sizeof(end_text), "stopped %s", stop_reason_text(reason));
    atomic_fetch_sub(&running_count, 1);
}

const char *vms_end_text(void)
{
    return end_text;
}
