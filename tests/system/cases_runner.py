"""The tools themselves: one ISO for BIOS, UEFI and USB, and the runner's keys. Linux without Corbel, so they need no VMX."""
import os
import time

import pexpect
from harness import INITRD, KERNEL, PROMPT, check, check_says


def boots_bare(t, *more):
    console = t.boot(t.bare_iso("console=ttyS0 quiet", KERNEL, INITRD), emulator="qemu-tcg", limit=300, more=more)
    console.expect(PROMPT, 200)
    check(console.run("echo $((6 * 7))") == "42", "the shell cannot count")
    return console


def case_runner_keys(t):
    """Ctrl-A h explains; every key reaches the machine; Ctrl-A x ends one that does not know it."""
    console = boots_bare(t)
    console.type("\x01h")
    console.expect("Ctrl-A x", 10)
    console.type("\x15cat -v\r\x01x\x01h\x01\x01\r")  # Ctrl-U: the shell has got an h; cat shows Ctrl-A as ^A
    console.expect(r"\^Ax\^Ah\^A\^A", 30)
    console.ends(0, limit=30)


def case_runner_hangup(t):
    """A window that is closed takes the machine with it, even where a process between them keeps the hang-up to itself."""
    iso = t.bare_iso("console=ttyS0 quiet", KERNEL, INITRD)
    over = t.file("over", "")
    runner = " ".join(t.command(iso, batch=False, emulator="qemu-tcg"))
    window = pexpect.spawn("/bin/sh", ["-c", f"trap '' HUP; {runner}; echo over > {over}"], timeout=60)
    window.expect(PROMPT, 200)  # from here on the machine is silent
    os.close(window.child_fd)
    deadline = time.monotonic() + 30
    while not over.read_text(encoding="utf-8"):
        check(time.monotonic() < deadline, "the machine runs on without its window")
        time.sleep(0.5)


def case_iso_uefi(t):
    """The ISO boots by UEFI."""
    console = boots_bare(t, "--uefi")
    check_says(console.run("ls /sys/firmware"), "efi")


def case_iso_usb(t):
    """The ISO boots as a USB stick, by BIOS."""
    boots_bare(t, "--usb")


def case_iso_usb_uefi(t):
    """The ISO boots as a USB stick, by UEFI."""
    boots_bare(t, "--usb", "--uefi")
