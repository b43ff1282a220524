// Attending to the console between slices. The serial line is the first VM's, Ctrl-A is Corbel's,
// in the habit of QEMU.

#include "boot/operator.h"

#include "arch/x86_64/tsc.h"
#include "boot/machine.h"
#include "boot/vms.h"
#include "drivers/host/console.h"
#include "drivers/virt/board.h"
#include "vm/bus.h"
#include "vmx/loop.h"

#define ESCAPE   0x01 // Ctrl-A
#define POLL_HZ  100  // how often input is looked for
#define DRAIN_HZ 1000 // how often while output is left

static bool escaped;
static int held = -1; // a byte that the guest had no room for

static void help(void)
{
    print_to(console_printer(), "\nCtrl-A h    this help\n"
                                "Ctrl-A x    end all VMs and switch off\n"
                                "Ctrl-A a    send Ctrl-A to the guest (Ctrl-A twice, too)\n");
}

// A byte for the guest, or -1 if it was ours.
static int filter(int byte)
{
    if (!escaped) {
        escaped = byte == ESCAPE;
        return escaped ? -1 : byte;
    }
    escaped = false;
    switch (byte) {
    case 'x':
        vms_kill_all();
        return -1;
    case 'h':
    case '?':
        help();
        return -1;
    case 'a':
    case ESCAPE:
        return ESCAPE;
    default:
        return -1;
    }
}

// Who the keyboard belongs to: the first VM that there is.
static struct vm *focus(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (vms_at(slot))
            return vms_at(slot);
    return NULL;
}

static void take_input(void)
{
    for (;;) {
        if (held < 0) {
            int byte = console_read();
            if (byte < 0)
                return;
            held = filter(byte);
        }
        if (held >= 0) {
            struct vm *vm = focus();
            if (vm && !board_uart_receive(vm, 0, (uint8_t)held))
                return;
            held = -1;
        }
    }
}

static uint64_t poll(void)
{
    take_input();
    vms_attend();
    uint64_t now = rdtsc();
    bool more = console_poll(now, host_tsc_hz);
    if (console_has_room(1))
        vms_console_room();
    if (vms_running() == 0) {
        print_to(console_printer(), "corbel: end: %s\n", vms_end_text());
        console_flush();
        machine_power_off();
    }
    return now + host_tsc_hz / (more ? DRAIN_HZ : POLL_HZ);
}

static const struct loop_hooks hooks = {.poll = poll, .vm_stopped = vms_stopped};

status_t operator_init(void)
{
    return loop_init(&hooks);
}
