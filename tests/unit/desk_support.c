// The machine half of desk.h.

#include "tests/unit/support.h"

#include "tests/unit/desk.h"
#include "vm/watch.h"

struct desk desk;

static uint8_t ram[DESK_VMS][DESK_RAM];
static struct watch watches[DESK_VMS][2];
static struct lapic_page pages[DESK_VMS][2];

static struct monitor_vm get_vm(unsigned slot)
{
    if (slot >= DESK_VMS)
        return (struct monitor_vm){.state = MONITOR_NO_VM};
    struct desk_vm *vm = &desk.vm[slot];
    return (struct monitor_vm){
        .state = vm->starting    ? MONITOR_STARTING
                 : vm->ended     ? MONITOR_ENDED
                 : vm->ending    ? MONITOR_ENDING
                 : vm->preserved ? MONITOR_PRESERVED
                 : vm->paused    ? MONITOR_PAUSED
                                 : MONITOR_RUNNING,
        .name = vm->vm.traits.name,
        .config = &vm->config,
        .vm = vm->ended || vm->starting ? NULL : &vm->vm,
    };
}

// Only VMs that exist may be asked for.
static struct desk_vm *note(const char *what, unsigned slot)
{
    size_t used = strlen(desk.asked);
    assert_true(slot < DESK_VMS &&
                (!desk.vm[slot].ended || strcmp(what, "start") == 0 || strcmp(what, "focus") == 0));
    snprintf(desk.asked + used, sizeof(desk.asked) - used, "%s %u;", what, slot);
    return &desk.vm[slot];
}

static unsigned slot_of(struct vm *vm)
{
    return (unsigned)(CONTAINER_OF(vm, struct desk_vm, vm) - desk.vm);
}

static void tell(unsigned slot, enum news_kind kind, enum news_cause cause)
{
    news_add(
        &desk.vm[slot].news,
        &(struct news_item){.kind = kind, .cause = cause, .time = UINT64_C(1700000000123456789)});
}

static status_t pause_vm(struct vm *vm)
{
    if (get_vm(slot_of(vm)).state != MONITOR_RUNNING)
        return STATUS_INVALID;
    note("pause", slot_of(vm))->paused = true;
    tell(slot_of(vm), NEWS_STOP, 0);
    return STATUS_OK;
}

static status_t resume_vm(struct vm *vm)
{
    if (get_vm(slot_of(vm)).state != MONITOR_PAUSED)
        return STATUS_INVALID;
    note("resume", slot_of(vm))->paused = false;
    tell(slot_of(vm), NEWS_RESUME, 0);
    return STATUS_OK;
}

static void kill_vm(unsigned slot)
{
    note("kill", slot);
    tell(slot, NEWS_SHUTDOWN, NEWS_HOST_QUIT);
}

static void reset_vm(struct vm *vm)
{
    note("reset", slot_of(vm));
    tell(slot_of(vm), NEWS_RESET, NEWS_HOST_RESET);
}

static bool press(struct vm *vm)
{
    note("button", slot_of(vm));
    if (desk.listens)
        tell(slot_of(vm), NEWS_POWERDOWN, 0);
    return desk.listens;
}

static status_t start_vm(unsigned slot, struct explanation *why)
{
    if (desk.refuses)
        return explain(why, STATUS_NO_MEMORY, "%s: memory = 9M does not fit",
                       desk.vm[slot].vm.traits.name);
    note("start", slot);
    return STATUS_OK;
}

static void hold(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    assert_false(desk.vm[slot].ended);
    assert_int_equal(desk.vm[slot].held++, 0);
    for (unsigned i = 0; i < 2; i++)
        desk.vm[slot].vcpu[i].fetched = STATE_ALL;
}

static void release(struct vm *vm)
{
    unsigned slot = slot_of(vm);
    assert_int_equal(desk.vm[slot].held--, 1);
    for (unsigned i = 0; i < 2; i++)
        desk.vm[slot].vcpu[i].fetched = 0;
}

static status_t watch(struct vm *vm, const struct watch_filter *filter)
{
    bool on = filter != NULL;
    unsigned slot = slot_of(vm);
    note(on ? "watch" : "unwatch", slot);
    for (unsigned i = 0; i < desk.vm[slot].vm.vcpu_count; i++) {
        memset(&watches[slot][i], 0, sizeof(watches[slot][i]));
        if (on)
            watches[slot][i].filter = *filter;
        desk.vm[slot].vcpu[i].watch = on ? &watches[slot][i] : NULL;
    }
    return desk.refuses ? STATUS_NO_MEMORY : STATUS_OK;
}

static bool set_balloon(struct vm *vm, uint64_t bytes)
{
    desk.balloon = bytes;
    return slot_of(vm) == 0;
}

static bool get_balloon(struct vm *vm, struct monitor_balloon *balloon)
{
    *balloon = (struct monitor_balloon){.actual = DESK_RAM / 2, .target = DESK_RAM};
    memset(balloon->stats, 0xff, sizeof(balloon->stats));
    balloon->stats[4] = 12345;
    return slot_of(vm) == 0;
}

static struct news *get_news(unsigned slot)
{
    return &desk.vm[slot].news;
}

static uint64_t disk_bytes(unsigned slot, unsigned disk)
{
    assert_true(disk < desk.vm[slot].config.disk_count);
    return UINT64_C(1) << (20 + disk);
}

static void quit(void)
{
    strcat(desk.asked, "quit;");
}

static void focus(unsigned slot)
{
    note("focus", slot);
}

static status_t ask_agent(struct vm *vm, enum agent_order order, struct explanation *why)
{
    static const char *const names[AGENT_ORDERS] = {[AGENT_PING] = "ping",
                                                    [AGENT_FREEZE] = "freeze",
                                                    [AGENT_THAW] = "thaw",
                                                    [AGENT_STATUS] = "status"};
    note(names[order], slot_of(vm));
    return desk.refuses ? explain(why, STATUS_NOT_FOUND, "no agent runs in it") : STATUS_OK;
}

static status_t save_vm(struct vm *vm, struct explanation *why)
{
    note("save", slot_of(vm));
    return desk.refuses ? explain(why, STATUS_NOT_FOUND, "this machine has none") : STATUS_OK;
}

static void resize(uint16_t columns, uint16_t rows)
{
    size_t used = strlen(desk.asked);
    snprintf(desk.asked + used, sizeof(desk.asked) - used, "resize %u %u;", columns, rows);
}

static unsigned cards(unsigned slot)
{
    return slot == 0 || slot == 2 ? 2 : 0;
}

// One that has ended keeps its cards.
static void note_card(const char *what, unsigned slot, unsigned card)
{
    size_t used = strlen(desk.asked);
    assert_true(card < cards(slot));
    snprintf(desk.asked + used, sizeof(desk.asked) - used, "%s %u.%u;", what, slot, card);
}

static void set_link(unsigned slot, unsigned card, bool is_up)
{
    note_card(is_up ? "up" : "down", slot, card);
}

static void announce(unsigned slot, unsigned card)
{
    note_card("announce", slot, card);
}

static status_t netdump(unsigned slot, unsigned card, bool on)
{
    note_card(on ? "dump" : "undump", slot, card);
    return desk.refuses ? STATUS_NO_MEMORY : STATUS_OK;
}

static void print_netdump(struct printer *to, unsigned slot, unsigned card)
{
    print_to(to, "dump of %u.%u\n", slot, card);
}

static void print_cards(struct printer *to, unsigned slot)
{
    for (unsigned i = 0; i < cards(slot); i++)
        print_to(to, "card %u.%u\n", slot, i);
}

static void print_switches(struct printer *to)
{
    print_to(to, "switch lan\n");
}

static bool get_card(unsigned slot, unsigned number, struct monitor_card *card)
{
    *card = (struct monitor_card){.sent_frames = 10, .sent_bytes = 1000, .dropped = slot + number};
    return number < cards(slot);
}

static bool get_streams(unsigned slot, struct monitor_streams *streams)
{
    *streams = (struct monitor_streams){.open = 2, .opened = 5, .refused = 7};
    return slot == 0;
}

static void print_streams(struct printer *to, unsigned slot)
{
    print_to(to, "streams of %u\n", slot);
}

static struct monitor_vcpu get_vcpu(struct vcpu *vcpu)
{
    return (struct monitor_vcpu){.state = "running",
                                 .cpu = vcpu->id + 1U,
                                 .pinned = vcpu->id == 1 ? 3 : -1,
                                 .weight = 256,
                                 .cap = vcpu->id == 1 ? 50 : 0,
                                 .received = 12000000,
                                 .waited = 3000000005};
}

static bool get_cpu(unsigned index, struct monitor_cpu *cpu)
{
    *cpu = (struct monitor_cpu){.is_online = index != 1, .apic_id = index * 2, .idle = 5000000000};
    if (index == 0)
        cpu->running = &desk.vm[0].vcpu[1];
    return index < 2;
}

static uint64_t place(const void *bytes)
{
    return (uint64_t)(uintptr_t)bytes;
}

static void held(unsigned slot, uint64_t *alone, uint64_t *shared)
{
    *alone = (slot + 1) * 12 << 10;
    *shared = slot * 4 << 10;
}

static void memory(uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *ours)
{
    *ours = 1 << 20;
    *free_bytes = 3 << 20;
    *total_bytes = 8 << 20;
}

static uint64_t uptime(void)
{
    return UINT64_C(10000000000);
}

static void print_vmcs(struct printer *to, struct vcpu *vcpu)
{
    print_to(to, "VMCS of vCPU %u\n", vcpu->id);
}

static void print_irq(struct printer *to, struct vm *vm)
{
    print_to(to, "board of %s\n", vm->traits.name);
}

static void print_capabilities(struct printer *to)
{
    print_to(to, "EPT\n");
}

const struct monitor_host desk_host = {
    .vm = get_vm,
    .vcpu = get_vcpu,
    .cpu = get_cpu,
    .pause = pause_vm,
    .resume = resume_vm,
    .kill = kill_vm,
    .reset = reset_vm,
    .power_down = press,
    .start = start_vm,
    .hold = hold,
    .release = release,
    .watch = watch,
    .set_balloon = set_balloon,
    .balloon = get_balloon,
    .news = get_news,
    .disk_bytes = disk_bytes,
    .quit = quit,
    .focus = focus,
    .resize = resize,
    .agent = ask_agent,
    .save = save_vm,
    .cards = cards,
    .set_link = set_link,
    .announce = announce,
    .netdump = netdump,
    .print_netdump = print_netdump,
    .print_cards = print_cards,
    .print_switches = print_switches,
    .card = get_card,
    .streams = get_streams,
    .print_streams = print_streams,
    .memory = memory,
    .held = held,
    .place = place,
    .uptime = uptime,
    .print_vmcs = print_vmcs,
    .print_irq = print_irq,
    .print_devices = print_irq,
    .print_pci = print_irq,
    .print_capabilities = print_capabilities,
    .version = "Corbel under test",
};

static void terminal_write(struct printer *printer, const char *text, size_t length)
{
    assert_true(desk.all_length + length < DESK_TEXT);
    memcpy(desk.all + desk.all_length, text, length);
    desk.all_length += length;
    desk.all[desk.all_length] = 0;
}

static struct printer terminal = {terminal_write};

static void kick(struct vcpu *vcpu) {}

static const struct vm_host services = {.kick = kick};

void desk_reset(void)
{
    static const char *const names[DESK_VMS] = {"web", "db", "old"};
    memset(&desk, 0, sizeof(desk));
    memset(ram, 0, sizeof(ram));
    memset(pages, 0, sizeof(pages));
    for (unsigned i = 0; i < DESK_VMS; i++) {
        struct desk_vm *vm = &desk.vm[i];
        vm->vm.traits = (struct vm_traits){
            .name = names[i], .kernel = "vmlinuz", .memory = UINT64_C(256) << 20};
        strcpy(vm->config.name, names[i]);
        vm->config.memory = vm->vm.traits.memory;
        vm->vm.cpuid.physical_width = 40;
        vm->vm.host = &services;
        vm->vm.vcpu_count = i == 0 ? 2 : 1;
        vm->ram = ram[i];
        ram_make(&vm->vm.memory, vm->table, vm->ram, DESK_RAM);
        for (unsigned j = 0; j < 2; j++) {
            vm->vcpu[j].vm = &vm->vm;
            vm->vcpu[j].id = (uint16_t)j;
            vm->vcpu[j].lapic.page = &pages[i][j];
            vm->vm.vcpu[j] = &vm->vcpu[j];
        }
    }
    desk.vm[0].config.disk_count = 2;
    strcpy(desk.vm[0].config.disk[1].module, "root.img");
    desk.vm[2].ended = true;
    prompt_init(&desk.prompt, &desk_host, &terminal);
    prompt_enter(&desk.prompt, 0);
}

void desk_type(const char *keys)
{
    for (; *keys; keys++)
        prompt_type(&desk.prompt, (uint8_t)*keys);
}

const char *desk_run(const char *line)
{
    desk_type(line);
    desk.all_length = 0;
    desk.all[0] = 0;
    desk_type("\r");
    assert_int_equal(desk.all[0], '\n'); // of the key
    strcpy(desk.text, desk.all + 1);
    char *prompt = strstr(desk.text, "\r\033[K");
    if (prompt)
        *prompt = 0;
    for (unsigned i = 0; i < DESK_VMS; i++)
        assert_int_equal(desk.vm[i].held, 0);
    return desk.text;
}
