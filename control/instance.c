// Building one VM out of its description: RAM, page tables, vCPUs, board, kernel; and giving it all
// back.

#include "control/instance.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/random.h"
#include "arch/x86_64/tsc.h"
#include "control/disks.h"
#include "control/instance_inputs.h"
#include "control/instance_ram.h"
#include "control/networks.h"
#include "control/ram_pieces.h"
#include "control/rom.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "loaders/files.h"
#include "loaders/loader.h"
#include "mm/tables/frames.h"
#include "vm/platform.h"
#include "vm/watch.h"
#include "vmx/ram.h"
#include "vmx/setup.h"
#include "vmx/task.h"

// ---- vCPUs ----

static status_t make_vcpu(struct instance *instance, unsigned id, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    uint64_t size = align_up(sizeof(struct vmx_vcpu), PAGE_SIZE);
    struct vmx_vcpu *vcpu = frames_allocate(size, PAGE_SIZE, vm->id);
    struct lapic_page *page = vcpu ? frame_allocate(vm->id) : NULL;
    if (!page) {
        if (vcpu)
            frames_free(vcpu, size, vm->id);
        return config_explain(why, STATUS_NO_MEMORY, instance->config, "cpus",
                              "no memory for vCPU %u", id);
    }
    memset(vcpu, 0, size);
    vcpu->vm = &instance->vmx;
    vcpu->guest.vm = vm;
    vcpu->guest.id = (uint16_t)id;
    vcpu->guest.apic_id = id;
    vcpu->guest.events.has_virtual_nmi = vmx_uses(FEATURE_VIRTUAL_NMIS);
    vm->vcpu[id] = &vcpu->guest;
    lapic_init(&vcpu->guest, page);
    struct explanation wrong;
    status_t status = setup_vcpu(vcpu, &wrong);
    if (status != STATUS_OK)
        (void)config_explain(why, status, instance->config, "cpus", "%s", wrong.text);
    else
        vcpu_reset(&vcpu->guest, false);
    if (id == 0)
        lapic_virtual_wire(&vcpu->guest);
    return status;
}

// ---- the board ----

#define VSOCK_SIZE align_up(sizeof(struct virtio_vsock_card), PAGE_SIZE)

// Its socket device, if it has one.
static status_t make_vsock(struct instance *instance, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    if (!instance->config->cid)
        return STATUS_OK;
    struct virtio_vsock_card *card = frames_allocate(VSOCK_SIZE, PAGE_SIZE, vm->id);
    if (!card)
        return config_explain(why, STATUS_NO_MEMORY, instance->config, "vsock",
                              "no memory for its socket device");
    memset(card, 0, VSOCK_SIZE);
    card->vsock.host = instance_inputs.vsock_host;
    card->vsock.owner = vm;
    card->vsock.cid = instance->config->cid;
    instance->parts.vsock = card;
    return STATUS_OK;
}

static status_t make_board(struct instance *instance, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    if (vm->traits.testdev) {
        instance->parts.test_memory = frames_allocate(MMIO_TEST_LENGTH, PAGE_SIZE, vm->id);
        if (!instance->parts.test_memory)
            return config_explain(why, STATUS_NO_MEMORY, instance->config, "testdev",
                                  "no memory for testdev");
        memset(instance->parts.test_memory, 0, MMIO_TEST_LENGTH);
    }
    if (vm->traits.rng && !random_init()) {
        struct explanation told;
        (void)config_explain(&told, STATUS_UNSUPPORTED, instance->config, "rng",
                             "rng: this CPU has neither RDSEED nor RDRAND: the VM runs without");
        log_warning("corbel: %s\n", told.text);
        vm->traits.rng = false;
    }
    status_t status = make_vsock(instance, why);
    return status == STATUS_OK ? board_build(&instance->board, vm, &instance->parts, why) : status;
}

// ---- starting ----

void instance_start_clock(struct instance *instance)
{
    struct vm *vm = &instance->vm;
    uint64_t now = rdtsc();
    clock_init(&vm->clock, host_tsc_hz, now);
    instance->wall_clock = inputs_wall_clock(now) / NS_PER_SECOND;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset = 0 - now;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
}

// What vms.conf asks for, and no guest can have.
static void log_unmet_features(struct instance *instance)
{
    const struct vm_config *config = instance->config;
    for (unsigned i = 0; i < config->feature_count; i++) {
        const struct feature_switch *feature = &config->feature[i];
        const struct cpu_feature *known = &cpu_features[feature->index];
        const char *unmet = cpuid_unmet(&instance->vm.cpuid, known->bit, feature->enable);
        struct explanation told;
        if (!unmet)
            continue;
        (void)config_explain(&told, STATUS_UNSUPPORTED, config, "cpuid", "cpuid: %c%s: %s",
                             feature->enable ? '+' : '-', known->name, unmet);
        log_warning("[%s] %s\n", config->name, told.text);
    }
}

static status_t set_up_vmx(struct instance *instance, struct explanation *why)
{
    struct explanation wrong;
    status_t status = setup_vm(&instance->vmx, &wrong);
    const char *key = status == STATUS_NO_MEMORY ? NULL : "trap";
    return status == STATUS_OK
               ? status
               : config_explain(why, status, instance->config, key, "%s", wrong.text);
}

static status_t build(struct instance *instance, struct explanation *why)
{
    struct vm *vm = &instance->vm;
    vm->vmx = &instance->vmx;
    vm->vcpu_count = instance->config->cpus;
    instance->vmx.vm = vm;
    instance->vmx.running = vm->vcpu_count;
    instance->wall_clock = inputs_wall_clock(rdtsc()) / NS_PER_SECOND; // until it starts
    instance->vmx.fails_entry = strcmp(instance->config->name, instance_inputs.fail_entry) == 0;

    struct cpuid_inputs cpuid = instance_inputs.cpuid;
    cpuid.vcpu_count = vm->vcpu_count;
    cpuid.feature = instance->config->feature;
    cpuid.feature_count = instance->config->feature_count;
    cpuid.exit_stats = instance->config->traits.exit_stats == EXIT_STATS_CPUID;
    status_t status = cpuid_build(&vm->cpuid, instance_inputs.host_cpuid, &cpuid);
    if (status != STATUS_OK)
        return config_explain(why, status, instance->config, "cpuid", "too many CPUID leaves");
    log_unmet_features(instance);
    status = instance_ram_make(instance, why);
    if (status == STATUS_OK)
        status = set_up_vmx(instance, why);
    for (unsigned i = 0; i < vm->vcpu_count && status == STATUS_OK; i++)
        status = make_vcpu(instance, i, why);
    return status == STATUS_OK ? make_board(instance, why) : status;
}

struct instance *instance_create(const struct vm_config *config, unsigned id, const struct rom *rom,
                                 struct disks *disks, struct networks *networks,
                                 const struct vm_host *host, struct explanation *why)
{
    uint64_t size = align_up(sizeof(struct instance), PAGE_SIZE);
    struct instance *instance = frames_allocate(size, PAGE_SIZE, id);
    if (!instance) {
        (void)config_explain(why, STATUS_NO_MEMORY, config, NULL, "no memory for another VM");
        return NULL;
    }
    memset(instance, 0, size);
    instance->config = config;
    instance->vm.traits = config_traits(config);
    instance->vm.id = id;
    instance->vm.host = host;
    instance->rom = rom;
    instance->parts.flash = rom->flash;
    instance->disks = disks;
    for (unsigned i = 0; i < disks->count; i++)
        instance->parts.disk[instance->parts.disk_count++] = &disks->disk[i].block;
    networks_describe(networks, &instance->parts);
    if (build(instance, why) == STATUS_OK)
        return instance;
    instance_destroy(instance);
    return NULL;
}

// ---- filling ----

void instance_copy(struct vm *vm, gpa_t to, const void *from, uint64_t size)
{
    for (uint64_t done = 0; done < size; done += RAM_PIECE) {
        bool written = gmem_write(&vm->memory, gpa(to.value + done), (const uint8_t *)from + done,
                                  MIN(size - done, RAM_PIECE));
        assert(written); // the loader claimed this place
        task_pause();
    }
}

// The modules are files of fw_cfg, too.
static status_t offer_modules(struct instance *instance, const struct guest_files *files,
                              struct explanation *why)
{
    struct vfwcfg *fwcfg = &instance->board.fwcfg;
    status_t status = STATUS_OK;
    if (!instance->vm.traits.testdev)
        return STATUS_OK;
    for (unsigned i = 0; i < files->module_count && status == STATUS_OK; i++) {
        const struct image *module = &files->module[i];
        char name[sizeof("opt/") + CONFIG_PATH];
        format_text(name, sizeof(name), "opt/%s", module->name);
        status = vfwcfg_add_file(fwcfg, name, module->bytes, (uint32_t)module->size, why);
    }
    return status;
}

// What firmware asks for.
static status_t offer_tables(struct instance *instance, struct explanation *why)
{
    const struct firmware_tables *tables = &instance->firmware;
    const struct {
        const char *name;
        const void *bytes;
        uint32_t size;
    } files[] = {
        {"bootorder", instance->board.boot_order, instance->board.boot_order_size},
        {ACPI_FILE_RSDP, tables->acpi.bytes, ACPI_RSDP},
        {ACPI_FILE_TABLES, tables->acpi.bytes + ACPI_ALIGN, tables->acpi.size - ACPI_ALIGN},
        {"etc/boot-fail-wait", tables->fail_wait, sizeof(tables->fail_wait)},
        {"etc/e820", tables->e820, tables->e820_size},
        {"etc/smbios/smbios-anchor", tables->smbios_anchor, SMBIOS_ANCHOR},
        {"etc/smbios/smbios-tables", tables->smbios.bytes, tables->smbios.size},
        {"etc/table-loader", tables->command, tables->command_size},
    };
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < ARRAY_LENGTH(files) && status == STATUS_OK; i++)
        if (files[i].size)
            status = vfwcfg_add_file(&instance->board.fwcfg, files[i].name, files[i].bytes,
                                     files[i].size, why);
    return status;
}

static status_t load_firmware(struct instance *instance, const struct guest_files *files,
                              struct explanation *why)
{
    status_t status = firmware_load(&instance->vm, &files->firmware[0], &instance->firmware, why);
    return status == STATUS_OK ? offer_tables(instance, why) : status;
}

static status_t load_kernel(struct instance *instance, const struct guest_files *files,
                            struct explanation *why)
{
    status_t status = offer_modules(instance, files, why);
    return status == STATUS_OK ? loader_load(&instance->vm, instance->config, &files->kernel,
                                             files->has_initrd ? &files->initrd : NULL,
                                             files->module, files->module_count, why)
                               : status;
}

static status_t load(struct instance *instance, struct explanation *why)
{
    bool has_firmware = instance->vm.traits.firmware;
    struct guest_files files;
    struct explanation wrong;
    status_t status = files_find(instance->config, instance_inputs.images,
                                 instance_inputs.image_count, &files, why);
    if (status != STATUS_OK)
        return status;
    status = has_firmware ? load_firmware(instance, &files, &wrong)
                          : load_kernel(instance, &files, &wrong);
    // A file may be several VMs'.
    return status == STATUS_OK
               ? STATUS_OK
               : config_explain(why, status, instance->config, has_firmware ? "firmware" : "kernel",
                                "%s", wrong.text);
}

status_t instance_fill(struct instance *instance, bool loads, struct explanation *why)
{
    status_t status = instance_ram_map(instance, why);
    if (status == STATUS_OK)
        instance_clear(instance);
    return status == STATUS_OK && loads && !instance->is_called_off ? load(instance, why) : status;
}

// ---- watching ----

#define WATCH_SIZE align_up(sizeof(struct watch), PAGE_SIZE)

static status_t begin_watch(struct vcpu *vcpu, const struct watch_filter *filter)
{
    struct watch *watch =
        vcpu->watch ? vcpu->watch : frames_allocate(WATCH_SIZE, PAGE_SIZE, vcpu->vm->id);
    if (!watch)
        return STATUS_NO_MEMORY;
    memset(watch, 0, sizeof(*watch));
    watch->filter = *filter;
    vcpu->watch = watch;
    vcpu->dirty |= STATE_WATCH;
    return STATUS_OK;
}

static void end_watch(struct vcpu *vcpu)
{
    vcpu->dirty &= ~(uint32_t)STATE_WATCH;
    if (vcpu->watch)
        frames_free(vcpu->watch, WATCH_SIZE, vcpu->vm->id);
    vcpu->watch = NULL;
}

status_t instance_watch(struct instance *instance, const struct watch_filter *filter)
{
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        if (!filter)
            end_watch(instance->vm.vcpu[i]);
        else if (begin_watch(instance->vm.vcpu[i], filter) != STATUS_OK)
            status = STATUS_NO_MEMORY;
    return status;
}

// ---- the end ----

void instance_close_streams(struct instance *instance)
{
    if (instance->board.vsock)
        virtio_vsock_close(instance->board.vsock);
}

static void release_vcpu(struct vmx_vcpu *vcpu)
{
    end_watch(&vcpu->guest);
    setup_release_vcpu(vcpu);
    unsigned owner = vcpu->guest.vm->id;
    frame_free(vcpu->guest.lapic.page, owner);
    frames_free(vcpu, align_up(sizeof(struct vmx_vcpu), PAGE_SIZE), owner);
}

void instance_destroy(struct instance *instance)
{
    struct vm *vm = &instance->vm;
    instance_ram_release(instance);
    ram_release(vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i])
            release_vcpu(vmx_vcpu(vm->vcpu[i]));
    if (instance->parts.test_memory)
        frames_free(instance->parts.test_memory, MMIO_TEST_LENGTH, vm->id);
    if (instance->parts.vsock)
        frames_free(instance->parts.vsock, VSOCK_SIZE, vm->id);
    setup_release_vm(&instance->vmx);
    unsigned owner = vm->id;
    frames_free(instance, align_up(sizeof(struct instance), PAGE_SIZE), owner);
    struct frames_held left = frames_held(owner);
    if (left.alone || left.shared)
        panic("VM %u leaves %lu frames behind", owner, left.alone + left.shared);
}
