// From GRUB's hand-over to the first guest, one call a line; then the CPU's loop.

#include "arch/x86_64/apic.h"
#include "arch/x86_64/canary.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "boot/bootinfo.h"
#include "boot/last_words.h"
#include "boot/consoles.h"
#include "boot/host_watch.h"
#include "boot/machine.h"
#include "boot/memory.h"
#include "boot/operator.h"
#include "boot/options.h"
#include "boot/smp.h"
#include "boot/start.h"
#include "boot/vmx_start.h"
#include "drivers/host/console.h"
#include "lib/panic.h"
#include "mm/paging.h"
#include "vmx/loop.h"
#include "vmx/run.h"
#include "vmx/setup.h"

void boot_main(uint64_t magic, uint64_t information);

static struct boot_info info;
static struct boot_options options;

// Before take_memory() the loader's tables map 4 GiB one to one.
static void add_screen(bool is_early)
{
    const struct boot_framebuffer *screen = &info.framebuffer;
    const struct framebuffer_mode *mode = &screen->mode;
    bool is_text = screen->type == FRAMEBUFFER_TEXT;
    uint64_t size = (uint64_t)mode->pitch * mode->height;
    void *place = (void *)screen->address;
    if (!screen->present || (is_early && screen->address + size > UINT64_C(4) << 30))
        return;
    if (!is_early)
        place = paging_map(hpa(screen->address), size, is_text ? CACHE_UC : CACHE_WC);
    if (is_text)
        console_add_vga(place, mode->width, mode->height, mode->pitch);
    else
        console_add_framebuffer(place, mode);
}

// The end of a machine on which Corbel cannot or need not run: `how` is the word that tools wait
// for.
__attribute__((noreturn)) static void end(const char *how)
{
    if (!console_has_screen())
        add_screen(true);
    machine_finish(how);
}

__attribute__((noreturn)) static void refuse(const char *why)
{
    tell("corbel: %s\n", why);
    end("refused");
}

static void early_cpu(void)
{
    traps_init();
    cpu_load_tables(&cpus[0]);
    cpu_set_modes();
    cpus[0].online = true;
    panic_set_output(console_panic_printer(), console_flush);
    panic_set_end(machine_end);
}

static void read_boot_information(uint64_t magic, uint64_t information)
{
    static struct notes notes;
    console_init(0x3f8);
    consoles_init();
    if (magic != BOOT_MAGIC)
        refuse("the boot loader does not speak Multiboot2: start this image from GRUB 2");
    const uint8_t *bytes = (const uint8_t *)information;
    status_t status = bootinfo_parse(&info, bytes, *(const uint32_t *)information);
    notes_init(&notes);
    options_parse(&options, info.cmdline, &notes);
    machine_set_end(options.end);
    if (options.console_port != 0x3f8)
        console_init(options.console_port);
    tell("\nCorbel, a hypervisor for Intel VMX\n");
    notes_print(&consoles.printer, "corbel: ", &notes);
    notes_print(&consoles.printer, "corbel: ", &info.notes);
    if (status != STATUS_OK)
        end("refused");
}

static void take_memory(void)
{
    struct explanation why;
    if (memory_init(&info, &why) != STATUS_OK || memory_make_stacks(&cpus[0], &why) != STATUS_OK)
        refuse(why.text);
    cpu_load_tables(&cpus[0]); // now with the stacks of NMI, double fault and machine check
    if (paging_violations())
        panic("%u pages are both writable and executable, or executable outside the text",
              paging_violations());
}

static void keep_log(void)
{
    struct log *place = (struct log *)memory_log_place(&info);
    if (!place)
        return;
    last_words_print(&consoles.printer, place);
    console_move_log(place);
}

static void start_vmx(void)
{
    struct explanation why;
    status_t status = vmx_start_choose(&options);
    vmx_start_report(&consoles.printer, options.report);
    if (options.report)
        end("report");
    if (status != STATUS_OK)
        end("refused");
    if (setup_shared() != STATUS_OK)
        refuse("no memory for the I/O bitmaps");
    run_init();
    host_watch_init(options.watchdog);
    if (operator_init(options.hang) != STATUS_OK) // before the other CPUs' loops begin
        refuse("no memory for the scheduler");
    if (vmx_start_enter(&why) != STATUS_OK)
        refuse(why.text);
}

void boot_main(uint64_t magic, uint64_t information)
{
    uint64_t begin = rdtsc();
    canary_init();
    early_cpu();
    read_boot_information(magic, information);
    take_memory();
    add_screen(false);
    keep_log();
    machine_read_tables(&info, options.nosmt);
    if (machine_calibrate() != STATUS_OK)
        refuse("no clock to measure the TSC by: switch HPET or the ACPI timer on in the firmware");
    machine_check_init(&consoles.printer);
    machine_start_interrupts();
    smp_start(&info, host_tsc_hz, vmx_start_cpu);
    if (options.end == END_PANIC)
        panic("asked for by end=panic");
    start_vmx();
    start_vms(&info, options.fail_entry, begin);
    loop_run();
}
