// Any bytes typed at a machine of two VMs that print meanwhile: the multiplexer, the line editor,
// and every command against a machine half whose answers are fixed. Nothing may be written out of
// bounds, a VM that does not exist must not be asked for, and a guest's bytes must not be lost
// while its console is in focus.

#include <stdlib.h>
#include <string.h>

#include "drivers/host/log.h"
#include "monitor/monitor.h"
#include "monitor/mux.h"
#include "vm/watch.h"

#define VMS       2
#define RING      256
#define RAM_BYTES 8192

static void require(bool condition)
{
    if (!condition)
        abort();
}

// ---- the machine ----

static struct machine {
    struct vm vm;
    struct vcpu vcpu;
    struct lapic_page page;
    struct watch watch;
    uint8_t ram[RAM_BYTES];
    bool ended, paused, held;
} machine[VMS];

static bool has_quit;

static struct monitor_vm get_vm(unsigned slot)
{
    if (slot >= VMS)
        return (struct monitor_vm){.state = MONITOR_NO_VM};
    return (struct monitor_vm){
        .state = machine[slot].ended    ? MONITOR_ENDED
                 : machine[slot].paused ? MONITOR_PAUSED
                                        : MONITOR_RUNNING,
        .name = machine[slot].vm.config.name,
        .vm = machine[slot].ended ? NULL : &machine[slot].vm,
    };
}

static unsigned slot_of(struct vm *vm)
{
    return (unsigned)(CONTAINER_OF(vm, struct machine, vm) - machine);
}

static void require_vm(unsigned slot)
{
    require(slot < VMS && !machine[slot].ended);
}

static void pause_vm(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
    require(!machine[slot].paused);
    machine[slot].paused = true;
}

static void resume_vm(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
    require(machine[slot].paused);
    machine[slot].paused = false;
}

static void kill_vm(unsigned slot)
{
    require_vm(slot);
    machine[slot].ended = true;
}

static void reset_vm(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
}

static bool press(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
    return slot == 0;
}

static status_t start_vm(unsigned slot, struct explanation *why)
{
    require(slot < VMS && machine[slot].ended);
    if (slot == 1)
        return explain(why, STATUS_NO_MEMORY, "no memory");
    machine[slot].ended = false;
    return STATUS_OK;
}

static void hold(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
    require(!machine[slot].held);
    machine[slot].held = true;
    machine[slot].vcpu.fetched = STATE_ALL;
}

static void release(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    require(machine[slot].held);
    machine[slot].held = false;
}

static status_t watch(struct vm *vm, bool on)
{
    unsigned slot = slot_of(vm);
    require_vm(slot);
    machine[slot].vcpu.watch = on ? &machine[slot].watch : NULL;
    return STATUS_OK;
}

static void quit(void)
{
    has_quit = true;
}

static struct mux mux;

static void focus(unsigned slot)
{
    require(slot < VMS);
    mux_focus(&mux, slot);
}

static struct monitor_vcpu get_vcpu(struct vcpu *vcpu)
{
    return (struct monitor_vcpu){.state = "running", .pinned = (int)vcpu->id - 1};
}

static bool get_cpu(unsigned index, struct monitor_cpu *cpu)
{
    *cpu = (struct monitor_cpu){.is_online = true, .running = &machine[0].vcpu};
    return index < 1;
}

static uint64_t place(const void *bytes)
{
    return (uint64_t)(uintptr_t)bytes;
}

static void memory(uint64_t *free_bytes, uint64_t *total_bytes)
{
    *free_bytes = *total_bytes = 4096;
}

static uint64_t uptime(void)
{
    return 0;
}

static void print_irq(struct printer *to, struct vm *vm)
{
    print_to(to, "%s\n", vm->config.name);
}

static void print_capabilities(struct printer *to)
{
    print_to(to, "none\n");
}

static struct log messages;

static void keep(const char *text, size_t length)
{
    log_write(&messages, text, length);
}

static size_t read_log(uint64_t *position, char *text, size_t size)
{
    return log_read(&messages, position, text, size);
}

static const struct monitor_host host = {
    .vm = get_vm,
    .vcpu = get_vcpu,
    .cpu = get_cpu,
    .pause = pause_vm,
    .resume = resume_vm,
    .kill = kill_vm,
    .reset = reset_vm,
    .power_button = press,
    .start = start_vm,
    .hold = hold,
    .release = release,
    .watch = watch,
    .quit = quit,
    .focus = focus,
    .memory = memory,
    .place = place,
    .uptime = uptime,
    .print_irq = print_irq,
    .print_capabilities = print_capabilities,
    .read_log = read_log,
    .version = "test",
};

// ---- the terminal ----

static uint64_t guest_bytes; // that reached it
static bool has_place;

static bool has_room(size_t bytes)
{
    (void)bytes;
    return has_place;
}

static void write_bytes(const char *bytes, size_t length)
{
    require(bytes && length > 0 && has_place);
    guest_bytes += length;
}

static void print(const char *text, size_t length)
{
    require(length > 0 && text[0] != 0);
}

static const struct mux_output output = {has_room, write_bytes, print, keep};

static void write_monitor(struct printer *printer, const char *text, size_t length)
{
    (void)printer;
    mux_write_monitor(&mux, text, length);
}

static struct printer terminal = {write_monitor};
static struct monitor monitor;

static void kick(struct vcpu *vcpu)
{
    (void)vcpu;
}

static const struct vm_host services = {.kick = kick};

static void begin(void)
{
    static struct mux_channel channels[VMS];
    static uint8_t rings[VMS][RING];
    memset(machine, 0, sizeof(machine));
    has_quit = false;
    has_place = true;
    mux_init(&mux, &output);
    for (unsigned i = 0; i < VMS; i++) {
        config_defaults(&machine[i].vm.config);
        machine[i].vm.cpuid.physical_width = 40;
        format_text(machine[i].vm.config.name, CONFIG_NAME, "vm%c", 'a' + (int)i);
        machine[i].vm.host = &services;
        machine[i].vm.vcpu_count = 1;
        machine[i].vm.vcpu[0] = &machine[i].vcpu;
        machine[i].vm.memory =
            (struct gmem){.count = 1, .region[0] = {gpa(0), RAM_BYTES, machine[i].ram}};
        machine[i].vcpu.vm = &machine[i].vm;
        machine[i].vcpu.lapic.page = &machine[i].page;
        mux_attach(&mux, i, &channels[i], machine[i].vm.config.name, rings[i], RING);
    }
    monitor_init(&monitor, &host, &terminal);
}

static void type(uint8_t byte)
{
    switch (mux_type(&mux, byte)) {
    case MUX_TO_MONITOR:
        monitor_type(&monitor, byte);
        break;
    case MUX_ENTER:
        monitor_enter(&monitor, mux.last);
        break;
    case MUX_INPUT:
        require(mux_peek(&mux, mux.focus) >= 0);
        break;
    case MUX_NOTHING:
    case MUX_BREAK:
    case MUX_QUIT:
    case MUX_FULL:
        break;
    }
}

// What a guest prints in focus reaches the terminal or waits, or the guest is told to wait.
static void guest_prints(unsigned slot, uint8_t byte)
{
    bool is_direct = !mux.is_together && mux.focus == slot &&
                     mux.channel[slot]->text.shown == mux.channel[slot]->text.written;
    uint64_t before = guest_bytes;
    bool taken = mux_write(&mux, slot, byte);
    uint64_t waits = mux.channel[slot]->text.written - mux.channel[slot]->text.shown;
    require(!is_direct || guest_bytes - before + waits == taken);
    require(waits <= RING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Bytes below 0x80 are typed; the others are what happens meanwhile.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    for (size_t i = 0; i < size && i < 4096; i++) {
        uint8_t byte = data[i];
        if (byte < 0x80)
            type(byte);
        else if (byte < 0xc0)
            guest_prints(byte & 1, byte & 2 ? '\n' : byte & 4 ? 0x1b : byte & 8 ? '[' : 'x');
        else if (byte < 0xd0)
            print_to(&mux.printer, byte & 1 ? "whole\n" : "part");
        else if (byte < 0xe0)
            has_place = byte & 1;
        else if (byte < 0xf0 && mux_peek(&mux, byte & 1) >= 0)
            mux_take(&mux, byte & 1);
        else if (byte == 0xf0)
            (void)mux_finish(&mux, 0);
        else if (mux_poll(&mux))
            monitor_redraw(&monitor);
        require(!machine[0].held && !machine[1].held);
        require(monitor.line.length < LINE_BYTES && monitor.line.cursor <= monitor.line.length);
    }
    return 0;
}
