"""Debian's cloud kernel with BusyBox: a person boots it, works at its shell, and switches it off."""
import re
import time

from dmesg_check import LINE, new_warnings
from harness import BUILD, INITRD, KERNEL, PROMPT, SKYLAKE, check, check_says, uuid_of

CMDLINE = "console=ttyS0"
LINUX = f"""
[vm linux]
cpus    = 1
memory  = 256M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = {CMDLINE}
"""
FIRST_LINE = 600  # seconds: the real-time kernel prints nothing before its console's thread runs
SILENCE = 60  # seconds without a line: a kernel hangs
# KVM's helps that may be hidden from a guest, and what Linux says of those that it finds.
HELPS = ("steal_time", "pv_eoi", "pv_unhalt", "pv_tlb_flush", "pv_ipi", "pv_sched_yield")
HELPS_FOUND = ("pv remote TLB flush", "PV sched yield", "PV spinlocks enabled", "PV IPIs")
SMP_INITRD = BUILD / "system" / "initrd-smp.gz"  # with tests/system/shootdown.c


def reach_shell(console):
    console.expect("Linux version", FIRST_LINE)
    while console.matched() != "Welcome to Linux":
        console.expect("\n|Welcome to Linux", SILENCE)
    console.expect(PROMPT, 60)


def kernel_log(console):
    """dmesg with its levels; the buffer holds all of a boot."""
    text = console.run("dmesg -r", 120)
    lines = [line for line in text.splitlines() if LINE.match(line)]
    check(len(lines) > 100, f"dmesg -r printed only {len(lines)} lines")
    return "\n".join(lines)


def check_log(bare, guest):
    new = new_warnings(bare, guest)
    check(not new, "warnings that the bare machine does not have:\n" + "\n".join(new))


def bare_log(t, cpu, kernel=KERNEL, more=""):
    """The same kernel's log on the same CPU without Corbel; kept, since it does not change."""
    kept = BUILD / "system" / f"bare-{kernel.resolve().name}-{cpu}{more.replace(' ', '-')}.log"
    if not kept.exists():
        console = t.boot(t.bare_iso(CMDLINE + more, kernel, INITRD), cpu=cpu, memory=256)
        reach_shell(console)
        log = kernel_log(console)
        console.close()
        kept.write_text(log)
    return kept.read_text()


def work(t, console, bare):
    """What a person does at the shell: looks around, computes, idles, interrupts a program, reads the log."""
    check(console.run("uname -m") == "x86_64", "uname -m")
    check(console.run("echo $((6 * 7))") == "42", "the shell cannot count")
    check_says(console.run("cat /proc/interrupts"), r"timer", r"ttyS0")
    console.run("cd /sys/class/dmi/id")  # a line that wraps has other ends
    check_says(console.run("cat sys_vendor product_uuid"), "Corbel", uuid_of("linux"))
    console.run("cd /sys/bus/acpi/devices/CRBL0001:00")
    check_says(console.run("cat path modalias"), r"_SB_\.VGEN", "acpi:CRBL0001:VM_GEN_COUNTER:")
    check_says(console.run("cd; cat /sys/firmware/acpi/interrupts/gpe00"), " enabled ")
    check_says(console.run("devmem 0xfef00000 64"), "0x[0-9a-f]{16}")
    check_says(console.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo counted $i", 240), "counted 20000")
    # On one line: an idle emulator's clock runs on while a person types.
    times = console.run("cat /proc/uptime; sleep 30; cat /proc/uptime", 240).splitlines()
    before, after = (float(line.split()[0]) for line in times)
    check(29 <= after - before <= 40, f"30 s of sleep took {after - before:.1f} s of the guest's time")
    check_says(console.run("dd if=/dev/zero bs=64k count=200 2>/dev/null | md5sum", 240),
               "2cf89b9489b2985f59087db9a9817bd9")
    console.type("cat\r")
    time.sleep(3)  # until cat is there, as a person would wait
    console.type("echoed\r")  # the terminal's echo, then cat's
    console.expect("echoed\r*\n.*echoed", 60)
    console.type("\x03")
    console.expect(PROMPT, 60)
    check(console.run("echo $((40 + 2))") == "42", "the shell is gone after Ctrl-C")
    check_log(bare, kernel_log(console))
    check("\r\r\n" not in t.seen().rpartition("Welcome")[2], "the guest's line ends were changed on the way")


def whole_life(t, bare, cpu, kernel=KERNEL, config=LINUX):
    """Boots to a shell, works there; reboot -f starts the VM anew, poweroff -f ends it."""
    console = t.boot(t.iso(f"vmlinuz={kernel}", INITRD, config=config), cpu=cpu, limit=1200)
    reach_shell(console)
    work(t, console, bare)
    console.type("reboot -f\r")
    console.expect("VM linux: reset: restart 1\r?\n", 60)
    reach_shell(console)
    check(console.run("echo $((6 * 7))") == "42", "no shell after reboot -f")
    console.type("poweroff -f\r")
    console.ends(0)


def case_linux_shell(t):
    """Linux boots to a shell, works, idles, has a clean log; reboot -f starts it anew, poweroff -f ends it."""
    whole_life(t, bare_log(t, SKYLAKE), SKYLAKE)


def unplug_and_plug(console, cpus):
    """Each CPU but the first goes and comes back."""
    console.run("cd /sys/devices/system/cpu")  # a line that wraps cannot be told from its output
    for cpu in range(1, cpus):
        for online in (0, 1):
            said = console.run(f"echo {online} > cpu{cpu}/online; cat cpu{cpu}/online", 120)
            check(said == str(online), f"CPU {cpu} does not go {'online' if online else 'offline'}: {said}")
    check(console.run("cat online") == f"0-{cpus - 1}", "not all CPUs came back")


def clocks(console):
    """Seconds since the boot by the kernel's clock, and the RTC."""
    uptime, rtc = console.run("cat /proc/uptime /sys/class/rtc/rtc0/since_epoch", 60).split("\n")
    return float(uptime.split()[0]), int(rtc)


def check_helps(log, stolen, helps):
    """Linux uses KVM's helps if it finds them, and only then."""
    for line in HELPS_FOUND:
        check((line in log) == helps, f"{line}: {'not in' if helps else 'in'} the log")
    check((stolen > 0) == helps, f"{stolen} ticks of stolen time")


def smp_life(t, cpu, host_cpus, vcpus, seconds, helps=True):
    """vCPUs go and come, change page tables under load, and agree on the time. Returns what the guest said, and its log."""
    config = LINUX.replace("cpus    = 1", f"cpus = {vcpus}")
    if not helps:
        config += "cpuid = " + ",".join(f"-kvm_{name}" for name in HELPS) + "\n"
    console = t.boot(t.iso(f"vmlinuz={KERNEL}", f"initrd.gz={SMP_INITRD}", config=config), cpu=cpu, cpus=host_cpus,
                     limit=1800)
    reach_shell(console)
    check(console.run("grep -c ^processor /proc/cpuinfo") == str(vcpus), "not all CPUs are there")
    uptime, rtc = clocks(console)
    unplug_and_plug(console, vcpus)
    said = console.run(f"shootdown {seconds}", 600)
    check(re.match(rf"PASS {vcpus} threads, \d{{2,}} rounds", said), f"shootdown: {said}")
    source = console.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    check(source in ("tsc", "kvm-clock"), f"clocksource {source}")
    said += "\n" + console.run("grep -E 'TLB|RES|CAL|LOC' /proc/interrupts; grep ^cpu /proc/stat", 60)
    later, rtc_later = clocks(console)
    check(abs((later - uptime) - (rtc_later - rtc)) < 1.5, f"{later - uptime:.1f} s passed, by the RTC {rtc_later - rtc} s")
    log = kernel_log(console)
    if vcpus > host_cpus:
        check_helps(log, int(re.search(r"^cpu +(?:\d+ +){7}(\d+)", said, re.M).group(1)), helps)
    console.type("cat /proc/uptime; poweroff -f\r")  # on one line, as above
    end = console.ends(0)
    uptime = float(re.search(r"^([\d.]+) [\d.]+$", end, re.M).group(1))
    life = float(re.search(r"vCPU 0: ran [\d.]+ of ([\d.]+) ms", end).group(1)) / 1000
    check(-0.1 < life - uptime < 4, f"{uptime:.2f} s since the boot for the guest, {life:.2f} s for Corbel")
    return f"{said}\n{uptime:.2f} s since the boot for the guest, {life:.2f} s for Corbel\n{end}", log


def case_linux_reboots(t):
    """Each way in which Linux can start a PC anew, here after a panic, ends as on_reboot says; none hangs."""
    ways = ("bios", "triple", "kbd")
    config = "".join(f"[vm {way}]\nmemory = 128M\nkernel = vmlinuz\non_reboot = destroy\nexit_stats = off\n"
                     f"cmdline = {CMDLINE} quiet panic=1 reboot={way}\n" for way in ways)
    console = t.boot(t.iso(f"vmlinuz={KERNEL}", config=config), cpu=SKYLAKE, memory=1024, limit=600)
    console.ends(2, 600)
    for way in ways:
        check_says(t.seen(), rf"VM {way} ended: {'triple fault' if way == 'triple' else 'reset'}")


def case_linux_smp(t):
    """Four vCPUs on two CPUs: hotplug, a load of TLB shootdowns, clocks that agree, KVM's helps in use."""
    _said, log = smp_life(t, SKYLAKE, 2, 4, 3)
    check_log(bare_log(t, SKYLAKE), log)  # after linux_shell, which needs it first
