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
                 : vm->preserved ? MONITOR_PRESERVED
                 : vm->paused    ? MONITOR_PAUSED
                                 : MONITOR_RUNNING,
        .name = vm->vm.config.name,
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

static void pause_vm(struct vm *vm)
{
    note("pause", slot_of(vm))->paused = true;
}

static void resume_vm(struct vm *vm)
{
    note("resume", slot_of(vm))->paused = false;
}

static void kill_vm(unsigned slot)
{
    note("kill", slot);
}

static void reset_vm(struct vm *vm)
{
    note("reset", slot_of(vm));
}

static bool press(struct vm *vm)
{
    note("button", slot_of(vm));
    return desk.listens;
}

static status_t start_vm(unsigned slot, struct explanation *why)
{
    if (desk.refuses)
        return explain(why, STATUS_NO_MEMORY, "%s: memory = 9M does not fit",
                       desk.vm[slot].vm.config.name);
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

static status_t watch(struct vm *vm, bool on)
{
    unsigned slot = slot_of(vm);
    note(on ? "watch" : "unwatch", slot);
    for (unsigned i = 0; i < desk.vm[slot].vm.vcpu_count; i++) {
        memset(&watches[slot][i], 0, sizeof(watches[slot][i]));
        desk.vm[slot].vcpu[i].watch = on ? &watches[slot][i] : NULL;
    }
    return desk.refuses ? STATUS_NO_MEMORY : STATUS_OK;
}

static void quit(void)
{
    strcat(desk.asked, "quit;");
}

static void focus(unsigned slot)
{
    note("focus", slot);
}

static struct monitor_vcpu get_vcpu(struct vcpu *vcpu)
{
    return (struct monitor_vcpu){.state = "running",
                                 .cpu = vcpu->id + 1U,
                                 .pinned = vcpu->id == 1 ? 3 : -1,
                                 .weight = 256,
                                 .cap = vcpu->id == 1 ? 50 : 0,
                                 .received = 12000000};
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

static void memory(uint64_t *free_bytes, uint64_t *total_bytes)
{
    *free_bytes = 3 << 20;
    *total_bytes = 8 << 20;
}

static uint64_t uptime(void)
{
    return UINT64_C(10000000000);
}

static void print_irq(struct printer *to, struct vm *vm)
{
    print_to(to, "board of %s\n", vm->config.name);
}

static void print_capabilities(struct printer *to)
{
    print_to(to, "EPT\n");
}

static size_t read_log(uint64_t *position, char *text, size_t size)
{
    static const char log[] = "one\ntwo\n";
    size_t length = MIN(MIN(size, 3), sizeof(log) - 1 - *position);
    memcpy(text, log + *position, length);
    *position += length;
    return length;
}

const struct monitor_host desk_host = {
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
    .version = "Corbel under test",
};

static void terminal_write(struct printer *printer, const char *text, size_t length)
{
    (void)printer;
    assert_true(desk.all_length + length < DESK_TEXT);
    memcpy(desk.all + desk.all_length, text, length);
    desk.all_length += length;
    desk.all[desk.all_length] = 0;
}

static struct printer terminal = {terminal_write};

static void kick(struct vcpu *vcpu)
{
    (void)vcpu;
}

static const struct vm_host services = {.kick = kick};

void desk_reset(void)
{
    static const char *const names[DESK_VMS] = {"web", "db", "old"};
    memset(&desk, 0, sizeof(desk));
    memset(ram, 0, sizeof(ram));
    memset(pages, 0, sizeof(pages));
    for (unsigned i = 0; i < DESK_VMS; i++) {
        struct desk_vm *vm = &desk.vm[i];
        config_defaults(&vm->vm.config);
        vm->vm.cpuid.physical_width = 40;
        strcpy(vm->vm.config.name, names[i]);
        strcpy(vm->vm.config.kernel, "vmlinuz");
        vm->vm.host = &services;
        vm->vm.vcpu_count = i == 0 ? 2 : 1;
        vm->ram = ram[i];
        vm->vm.memory = (struct gmem){.count = 1, .region[0] = {gpa(0), DESK_RAM, vm->ram}};
        for (unsigned j = 0; j < 2; j++) {
            vm->vcpu[j].vm = &vm->vm;
            vm->vcpu[j].id = (uint16_t)j;
            vm->vcpu[j].lapic.page = &pages[i][j];
            vm->vm.vcpu[j] = &vm->vcpu[j];
        }
    }
    desk.vm[2].ended = true;
    monitor_init(&desk.monitor, &desk_host, &terminal);
    monitor_enter(&desk.monitor, 0);
}

void desk_type(const char *keys)
{
    for (; *keys; keys++)
        monitor_type(&desk.monitor, (uint8_t)*keys);
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
