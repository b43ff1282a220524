// From GRUB's hand-over to the first guest, one call a line; then the CPU's loop.

#include "arch/x86_64/canary.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "boot/info/bootinfo.h"
#include "boot/info/crash_log.h"
#include "control/consoles.h"
#include "control/cpu_report.h"
#include "control/debugging.h"
#include "control/host_watch.h"
#include "boot/hardware.h"
#include "boot/memory.h"
#include "control/operator.h"
#include "control/shutdown.h"
#include "control/vms.h"
#include "boot/info/options.h"
#include "boot/smp.h"
#include "boot/start.h"
#include "boot/vmx_start.h"
#include "drivers/host/console/console.h"
#include "lib/panic.h"
#include "mm/paging.h"
#include "vmx/loop.h"
#include "vmx/ram_pages.h"
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
    shutdown_machine(how);
}

__attribute__((noreturn)) static void refuse(const char *why)
{
    log_error("corbel: %s\n", why);
    end("refused");
}

static void early_cpu(void)
{
    traps_init();
    cpu_load_tables(&cpus[0]);
    traps_load_idt();
    cpu_set_modes();
    cpus[0].online = true;
    panic_set_output(console_panic_printer(), console_flush);
    panic_set_end(shutdown_after_panic);
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
    shutdown_set(options.end);
    if (options.console_port != 0x3f8)
        console_init(options.console_port);
    log_set_level(options.log_level);
    log_info("\nCorbel, a hypervisor for Intel VMX\n");
    notes_print(LOG_PRINTER(LOG_WARNING), "corbel: ", &notes);
    notes_print(LOG_PRINTER(LOG_WARNING), "corbel: ", &info.notes);
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
    crash_log_print(LOG_PRINTER(LOG_ERROR), place);
    log_move(place);
}

static void start_vmx(void)
{
    struct explanation why;
    status_t status = vmx_start_choose(&options);
    bool is_asked = options.report || status != STATUS_OK;
    cpu_report(LOG_PRINTER(is_asked ? LOG_INFO : LOG_DEBUG), options.report);
    if (options.report)
        end("report");
    if (status != STATUS_OK)
        end("refused");
    if (setup_shared() != STATUS_OK)
        refuse("no memory for the I/O bitmaps");
    run_init();
    if (loop_init(vms_stopped) != STATUS_OK)
        refuse("no memory for the scheduler");
    host_watch_init(options.watchdog, options.hang);
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
    hardware_read_tables(&info, options.nosmt);
    if (hardware_calibrate() != STATUS_OK)
        refuse("no clock to measure the TSC by: switch HPET or the ACPI timer on in the firmware");
    machine_check_init(LOG_PRINTER(LOG_ERROR));
    hardware_start_interrupts();
    smp_start(&info, host_tsc_hz, vmx_start_cpu);
    if (options.end == END_PANIC)
        panic("asked for by end=panic");
    start_vmx();
    ram_overcommit = options.overcommit;
    debugging_init(&options);
    start_vms(&info, options.fail_entry, begin);
    operator_init();
    loop_run();
}
