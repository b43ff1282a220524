// Any bytes typed at a guests of two VMs that print meanwhile: the multiplexer, the line editor,
// and every command against a guests half whose answers are fixed. Nothing may be written out of
// bounds, a VM that does not exist must not be asked for, and a guest's bytes must not be lost
// while its console is in focus.

#include <string.h>

#include "monitor/prompt.h"
#include "monitor/mux_messages.h"
#include "vm/watch.h"
#include "tests/ram.h"
#include "tests/fuzz/require.h"

#define VMS       2
#define RING      256
#define RAM_BYTES 8192

// ---- the guests ----

static struct guest {
    struct gmem_piece table[TEST_PIECES];
    struct vm vm;
    struct vcpu vcpu;
    struct lapic_page page;
    struct watch watch;
    uint8_t ram[RAM_BYTES];
    char name[8];
    bool ended, paused, held;
} guests[VMS];

static bool has_quit;

static struct monitor_vm get_vm(unsigned slot)
{
    if (slot >= VMS)
        return (struct monitor_vm){.state = MONITOR_NO_VM};
    return (struct monitor_vm){
        .state = guests[slot].ended    ? MONITOR_ENDED
                 : guests[slot].paused ? MONITOR_PAUSED
                                       : MONITOR_RUNNING,
        .name = guests[slot].vm.traits.name,
        .vm = guests[slot].ended ? NULL : &guests[slot].vm,
    };
}

static unsigned slot_of(struct vm *vm)
{
    return (unsigned)(CONTAINER_OF(vm, struct guest, vm) - guests);
}

static void require_vm(unsigned slot)
{
    require(slot < VMS && !guests[slot].ended);
}

static status_t set_paused(struct vm *vm, bool is_paused)
{
    struct guest *guest = CONTAINER_OF(vm, struct guest, vm);
    require(!guest->ended);
    status_t status = guest->paused == is_paused ? STATUS_INVALID : STATUS_OK;
    guest->paused = is_paused;
    return status;
}

static status_t pause_vm(struct vm *vm)
{
    return set_paused(vm, true);
}

static status_t resume_vm(struct vm *vm)
{
    return set_paused(vm, false);
}

static void kill_vm(unsigned slot)
{
    require_vm(slot);
    guests[slot].ended = true;
}

static void reset_vm(struct vm *vm)
{
    require_vm(slot_of(vm));
}

static bool press(struct vm *vm)
{
    require_vm(slot_of(vm));
    return slot_of(vm) == 0;
}

static status_t start_vm(unsigned slot, struct explanation *why)
{
    require(slot < VMS && guests[slot].ended);
    if (slot == 1)
        return explain(why, STATUS_NO_MEMORY, "no memory");
    guests[slot].ended = false;
    return STATUS_OK;
}

static void hold(struct vm *vm)
{
    struct guest *guest = CONTAINER_OF(vm, struct guest, vm);
    require(!guest->ended && !guest->held);
    guest->held = true;
    guest->vcpu.fetched = STATE_ALL;
}

static void release(struct vm *vm)
{
    require(guests[slot_of(vm)].held);
    guests[slot_of(vm)].held = false;
}

static status_t watch(struct vm *vm, const struct watch_filter *filter)
{
    struct guest *guest = CONTAINER_OF(vm, struct guest, vm);
    require(!guest->ended);
    guest->vcpu.watch = filter ? &guest->watch : NULL;
    return STATUS_OK;
}

static bool set_balloon(struct vm *vm, uint64_t bytes)
{
    require(bytes && bytes <= vm->traits.memory);
    return vm->id == 1;
}

static bool get_balloon(struct vm *vm, struct monitor_balloon *balloon)
{
    memset(balloon, vm->id == 1 ? 0xff : 0, sizeof(*balloon));
    return vm->id == 1;
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
    *cpu = (struct monitor_cpu){.is_online = true, .running = &guests[0].vcpu};
    return index < 1;
}

static unsigned cards(unsigned slot)
{
    return slot % 3;
}

static void set_link(unsigned slot, unsigned card, bool is_up)
{
    require(card < cards(slot));
}

static void announce(unsigned slot, unsigned card)
{
    require(card < cards(slot));
}

static status_t netdump(unsigned slot, unsigned card, bool on)
{
    require(card < cards(slot));
    return card ? STATUS_OK : STATUS_NO_MEMORY;
}

static void print_netdump(struct printer *to, unsigned slot, unsigned card)
{
    require(card < cards(slot));
    print_to(to, "%u\n", card);
}

static void print_cards(struct printer *to, unsigned slot)
{
    print_to(to, "%u\n", slot);
}

static void print_switches(struct printer *to)
{
    print_to(to, "lan\n");
}

static uint64_t place(const void *bytes)
{
    return (uint64_t)(uintptr_t)bytes;
}

static void held(unsigned slot, uint64_t *alone, uint64_t *shared)
{
    *alone = *shared = slot * 4096;
}

static void memory(uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *ours)
{
    *free_bytes = *total_bytes = *ours = 4096;
}

static uint64_t uptime(void)
{
    return 0;
}

static void print_vmcs(struct printer *to, struct vcpu *vcpu)
{
    print_to(to, "%u\n", vcpu->id);
}

static status_t save_vm(struct vm *vm, struct explanation *why)
{
    return explain(why, STATUS_NOT_FOUND, "%s", vm->traits.name);
}

static status_t ask_agent(struct vm *vm, enum agent_order order, struct explanation *why)
{
    return order ? STATUS_OK : save_vm(vm, why);
}

static void resize(uint16_t columns, uint16_t rows) {}

static void print_irq(struct printer *to, struct vm *vm)
{
    print_to(to, "%s\n", vm->traits.name);
}

static void print_capabilities(struct printer *to)
{
    print_to(to, "none\n");
}

static const struct monitor_host host = {
    .vm = get_vm,
    .vcpu = get_vcpu,
    .cpu = get_cpu,
    .pause = pause_vm,
    .resume = resume_vm,
    .kill = kill_vm,
    .save = save_vm,
    .agent = ask_agent,
    .resize = resize,
    .reset = reset_vm,
    .power_down = press,
    .start = start_vm,
    .hold = hold,
    .release = release,
    .watch = watch,
    .set_balloon = set_balloon,
    .balloon = get_balloon,
    .quit = quit,
    .focus = focus,
    .cards = cards,
    .set_link = set_link,
    .announce = announce,
    .netdump = netdump,
    .print_netdump = print_netdump,
    .print_cards = print_cards,
    .print_switches = print_switches,
    .print_streams = print_cards,
    .memory = memory,
    .held = held,
    .place = place,
    .uptime = uptime,
    .print_vmcs = print_vmcs,
    .print_irq = print_irq,
    .print_devices = print_irq,
    .print_pci = print_irq,
    .print_capabilities = print_capabilities,
    .version = "test",
};

// ---- the terminal ----

static uint64_t guest_bytes; // that reached it
static bool has_place;
static bool is_text_alone; // what is printed now

static bool can_write(size_t bytes)
{
    (void)bytes;
    return has_place;
}

static void write_bytes(const char *bytes, size_t length)
{
    require(bytes && length > 0);
    if (bytes[0] == 0x18) // ends what a guest began: Corbel's own
        return;
    require(has_place && !is_text_alone);
    guest_bytes += length;
}

static void print(const char *text, size_t length)
{
    require(length > 0 && text[0] != 0);
    for (size_t i = 0; i < length && is_text_alone; i++)
        require(text[i] >= ' ' || text[i] == '\n');
}

static void debug(const char *text, size_t length)
{
    require(length > 0 && text[length - 1] == '\n');
}

static const struct mux_output output = {can_write, write_bytes, print, debug};

static void write_monitor(struct printer *printer, const char *text, size_t length)
{
    (void)printer;
    mux_write_monitor(&mux, text, length);
}

static struct printer terminal = {write_monitor};
static struct prompt prompt;

static void kick(struct vcpu *vcpu)
{
    (void)vcpu;
}

static const struct vm_host services = {.kick = kick};

static void begin(void)
{
    static struct mux_channel channels[VMS];
    static uint8_t rings[VMS][RING];
    memset(guests, 0, sizeof(guests));
    has_quit = false;
    has_place = true;
    mux_init(&mux, &output);
    mux_messages_init(&mux);
    for (unsigned i = 0; i < VMS; i++) {
        guests[i].vm.traits.name = guests[i].name;
        guests[i].vm.cpuid.physical_width = 40;
        format_text(guests[i].name, sizeof(guests[i].name), "vm%c", 'a' + (int)i);
        guests[i].vm.host = &services;
        guests[i].vm.vcpu_count = 1;
        guests[i].vm.vcpu[0] = &guests[i].vcpu;
        ram_make(&guests[i].vm.memory, guests[i].table, guests[i].ram, RAM_BYTES);
        guests[i].vcpu.vm = &guests[i].vm;
        guests[i].vcpu.lapic.page = &guests[i].page;
        mux_attach(&mux, i, &channels[i], guests[i].vm.traits.name, rings[i], RING);
    }
    prompt_init(&prompt, &host, &terminal);
}

static void type(uint8_t byte)
{
    switch (mux_type(&mux, byte)) {
    case MUX_TO_MONITOR:
        prompt_type(&prompt, byte);
        break;
    case MUX_ENTER:
        prompt_enter(&prompt, mux.last);
        break;
    case MUX_INPUT:
        require(ring_used(&mux.channel[mux.focus]->console.typed) > 0);
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
    struct vm_console *console = &mux.channel[slot]->console;
    bool is_direct = !mux.is_together && mux.focus == slot && ring_used(&console->printed) == 0;
    uint64_t before = guest_bytes;
    is_text_alone = mux.is_together;
    bool taken = vm_console_put(console, byte);
    mux_show(&mux);
    is_text_alone = false;
    uint64_t waits = ring_used(&console->printed);
    require(!is_direct || guest_bytes - before + waits == taken);
    require(waits <= RING);
}

static void corbel_prints(uint8_t byte)
{
    const char *text = byte & 1 ? "whole\n" : "part";
    if (byte & 2)
        print_to(&mux.printer, "%s", text);
    else
        log_print(byte & 4 ? LOG_DEBUG : LOG_INFO, "%s", text);
    if (byte & 8)
        mux_show_log(&mux);
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
            guest_prints(byte & 1, byte & 2    ? '\n'
                                   : byte & 4  ? 0x1b
                                   : byte & 8  ? '['
                                   : byte & 16 ? 0xc2
                                               : 'x');
        else if (byte < 0xd0)
            corbel_prints(byte);
        else if (byte < 0xe0)
            has_place = byte & 1;
        else if (byte < 0xf0)
            (void)ring_get(&mux.channel[byte & 1]->console.typed);
        else if (byte == 0xf0)
            (void)mux_finish(&mux, 0);
        else if (byte == 0xf1)
            (void)vm_console_put(&mux.channel[0]->console, 'y');
        else if (mux_poll(&mux))
            prompt_redraw(&prompt);
        require(!guests[0].held && !guests[1].held);
        require(prompt.line.length < LINE_BYTES && prompt.line.cursor <= prompt.line.length);
    }
    return 0;
}
