"""Debian's cloud kernel with BusyBox: a person boots it, works at its shell, and switches it off."""
import time

from dmesg_check import LINE, new_warnings
from harness import BUILD, INITRD, KERNEL, PROMPT, SKYLAKE, check, check_says

CMDLINE = "console=ttyS0"
LINUX = f"""
[vm linux]
cpus    = 1
memory  = 256M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = {CMDLINE}
"""
FILES = (f"vmlinuz={KERNEL}", INITRD)
BOOT = 400  # seconds to the shell


def kernel_log(console):
    """dmesg with its levels; the buffer holds all of a boot."""
    text = console.run("dmesg -r", 120)
    lines = [line for line in text.splitlines() if LINE.match(line)]
    check(len(lines) > 100, f"dmesg -r printed only {len(lines)} lines")
    return "\n".join(lines)


def bare_log(t, cpu, cpus):
    """The same kernel's log on the same CPU without Corbel; kept, since it does not change."""
    kept = BUILD / "system" / f"bare-{KERNEL.resolve().name}-{cpu}-{cpus}.log"
    if not kept.exists():
        console = t.boot(t.bare_iso(CMDLINE, KERNEL, INITRD), cpu=cpu, cpus=cpus, memory=256)
        console.expect(PROMPT, BOOT)
        log = kernel_log(console)
        console.close()
        kept.write_text(log)
    return kept.read_text()


def case_linux_shell(t):
    """Linux boots to a shell, works, idles, has a clean log, and switches off."""
    bare = bare_log(t, SKYLAKE, 1)
    console = t.boot(t.iso(*FILES, config=LINUX), cpu=SKYLAKE)
    console.expect("Welcome to Linux", BOOT)
    console.expect(PROMPT, 60)
    check(console.run("uname -m") == "x86_64", "uname -m")
    check(console.run("echo $((6 * 7))") == "42", "the shell cannot count")
    check_says(console.run("cat /proc/interrupts"), r"timer", r"ttyS0")
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
    guest = kernel_log(console)
    new = new_warnings(bare, guest)
    check(not new, "warnings that the bare machine does not have:\n" + "\n".join(new))
    check("\r\r\n" not in t.seen().rpartition("Welcome")[2], "the guest's line ends were changed on the way")
    console.type("poweroff -f\r")
    console.ends(0)


def case_linux_reboot(t):
    """reboot -f ends the VM as a reset, which is not a success."""
    console = t.boot(t.iso(*FILES, config=LINUX + "on_reboot = destroy\n"), cpu=SKYLAKE)
    console.expect(PROMPT, BOOT)
    console.type("reboot -f\r")
    words = console.ends(2)
    check_says(words, r"corbel: end: stopped.*reset")
