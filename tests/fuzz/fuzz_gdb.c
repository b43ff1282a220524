// A client that sends anything to a gdb session, and vCPUs that stop at any time: replies are
// packets, the VM is held as often as it is released, the guest's memory is as it was when the
// client is gone, and what a VM entry would refuse never gets into a vCPU.

#include <string.h>

#include "monitor/gdb.h"
#include "tests/fuzz/require.h"
#include "tests/ram.h"
#include "vm/fpu_image.h"

#define RING  4096
#define RAM   8192
#define VCPUS 3

static struct gdb gdb;
static struct stream stream;
static uint8_t bytes[2 * RING], ram[RAM];
static struct vm vm;
static struct vcpu vcpu[VCPUS];
static struct lapic_page pages[VCPUS];
static _Alignas(64) struct fpu_image fpu[VCPUS];
static bool is_paused, is_gone, is_held;

static struct monitor_vm get_vm(unsigned slot)
{
    require(slot == 0);
    return (struct monitor_vm){
        .state = is_gone     ? MONITOR_ENDED
                 : is_paused ? MONITOR_PAUSED
                             : MONITOR_RUNNING,
        .name = "vm",
        .vm = is_gone ? NULL : &vm,
    };
}

static status_t pause_vm(struct vm *which)
{
    require(which == &vm && !is_gone && !is_held);
    status_t status = is_paused ? STATUS_INVALID : STATUS_OK;
    is_paused = true;
    return status;
}

static status_t resume_vm(struct vm *which)
{
    require(which == &vm && !is_gone && !is_held);
    status_t status = is_paused ? STATUS_OK : STATUS_INVALID;
    is_paused = false;
    return status;
}

static void hold(struct vm *which)
{
    require(which == &vm && !is_gone && !is_held);
    is_held = true;
}

static void release(struct vm *which)
{
    require(is_held);
    is_held = false;
}

static void kill_vm(unsigned slot)
{
    is_gone = true;
}

static void kick(struct vcpu *which) {}

static const struct vm_host services = {.kick = kick};
static const struct monitor_host host = {
    .vm = get_vm,
    .pause = pause_vm,
    .resume = resume_vm,
    .hold = hold,
    .release = release,
    .kill = kill_vm,
};

static void make_vm(void)
{
    static struct gmem_piece table[TEST_PIECES];
    memset(&vm, 0, sizeof(vm));
    memset(vcpu, 0, sizeof(vcpu));
    memset(ram, 0, sizeof(ram));
    ram_make(&vm.memory, table, ram, RAM);
    vm.host = &services;
    vm.cpuid.physical_width = 40;
    vm.vcpu_count = VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpu[i] = (struct vcpu){.vm = &vm,
                                .id = (uint16_t)i,
                                .fpu = &fpu[i],
                                .fetched = STATE_ALL,
                                .rflags = RFLAGS_FIXED,
                                .dr7 = 0x400,
                                .efer = EFER_LMA};
        vcpu[i].segment[CS].access = AR_LONG;
        vcpu[i].lapic.page = &pages[i];
        vm.vcpu[i] = &vcpu[i];
    }
    is_gone = is_paused = is_held = false;
}

// What a vCPU that runs may do, by a byte of the input.
static void run_vcpu(uint8_t byte)
{
    struct vcpu *one = &vcpu[byte % VCPUS];
    if (is_gone || is_paused || !one->debugged || one->activity != ACTIVITY_ACTIVE)
        return;
    one->rip = (one->rip + byte) & (RAM - 1);
    switch (byte >> 6) {
    case 0:
        (void)debugged_int3(one);
        break;
    case 1:
        (void)debugged_db(one, byte & 15);
        break;
    case 2:
        one->pending_debug = byte & 15;
        debugged_trap(one);
        break;
    default:
        if (one->dirty & STATE_STEP)
            debugged_step(one, true);
    }
}

static void check_vcpus(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        require((vcpu[i].rflags & (RFLAGS_FIXED | RFLAGS_VM | BIT(15))) == RFLAGS_FIXED);
        require(!(vcpu[i].interruptibility & BLOCKING_BY_STI) || (vcpu[i].rflags & RFLAGS_IF));
        require((int64_t)(vcpu[i].rip << 16) >> 16 == (int64_t)vcpu[i].rip);
        require(fpu[i].mxcsr <= UINT16_MAX);
        require(!(vcpu[i].dr7 >> 32));
    }
}

static uint8_t sum_heard;
static int left; // bytes of a checksum that are still to come; -1: none, -2: in a packet

// Each is whole and of characters; '+' and '-' between.
static void check_replies(void)
{
    uint8_t heard[RING];
    uint64_t length = stream_take(&stream.end[0], heard, RING);
    for (uint64_t i = 0; i < length; i++) {
        if (left == -1) {
            require(heard[i] == '$' || heard[i] == '+' || heard[i] == '-');
            left = heard[i] == '$' ? -2 : -1;
            sum_heard = 0;
        } else if (left == -2) {
            require(heard[i] != '$' && heard[i] >= ' ' && heard[i] <= '~');
            left = heard[i] == '#' ? 2 : -2;
            sum_heard += left == -2 ? heard[i] : 0;
        } else {
            require(heard[i] ==
                    (uint8_t) "0123456789abcdef"[left == 2 ? sum_heard >> 4 : sum_heard & 15]);
            left = left == 2 ? 1 : -1;
        }
    }
}

static void run(void)
{
    for (unsigned i = 0; gdb_step(&gdb); i++)
        require(i <= RING); // each takes something
    require(!is_held);
    check_replies();
    check_vcpus();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The input is packets, whose ends are bytes of 0 that are followed by one that a vCPU acts by.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;
    bool is_open = false;
    make_vm();
    left = -1;
    stream_init(&stream, bytes, RING, NULL);
    gdb_init(&gdb, &host, 0, &stream.end[1]);
    for (size_t i = 0; i < size; i++) {
        // qRcmd is fuzz_monitor's
        char text[8] = {(char)(data[i] == 'R' ? 'r' : data[i])};
        unsigned length = 1;
        if (data[i] == 0) {
            length = is_open ? (unsigned)snprintf(text, sizeof(text), "#%02x", sum) : 0;
            is_open = false;
        } else if (!is_open && data[i] == '$') {
            is_open = true;
            sum = 0;
        } else {
            sum += (uint8_t)text[0];
        }
        while (stream_give(&stream.end[0], text, length) < length)
            run();
        if (data[i] == 0) {
            run();
            run_vcpu(++i < size ? data[i] : 0);
            if (i < size && data[i] == 0xff) // the VM ends, and another one is there
                make_vm();
        }
    }
    run();
    bool was_there = debugger_has(&gdb.debugger, is_gone ? NULL : &vm);
    stream_finish(&stream.end[0]);
    run();
    while (stream_piece(gdb.link.end, &(const uint8_t *){NULL}) &&
           (run(), !stream_is_at_end(gdb.link.end)))
        ;
    require(!was_there || is_gone || !vcpu[0].debugged);
    for (unsigned i = 0; i < DEBUGGER_IN_MEMORY && was_there; i++)
        require(!gdb.debugger.in_memory[i].is_set);
    return 0;
}
