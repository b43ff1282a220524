"""A VM that owns the second serial port, and the watchdog that says which VM is silent. The guest is tests/system/neighbour.c."""
import os
import re
import select
import time
import tty

from cases_vms import GUEST, end, start, vm
from harness import SKYLAKE, Failure, check, check_says


class Line:
    """Our end of a second serial line."""

    def __init__(self):
        self.fd, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.seen = ""

    def expect(self, text, limit=60):
        deadline = time.monotonic() + limit
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise Failure(f"no {text!r} on the second serial line within {limit} s: {self.seen[-200:]!r}")
            self.seen += os.read(self.fd, 4096).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def send(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        os.close(self.slave)
        os.close(self.fd)


def case_uart2(t):
    """A VM owns the machine's second serial port: both ways, a Ctrl-A is a byte like others; the VM that comes too late has its line."""
    line = Line()
    try:
        config = vm("owner", "com2", uart2="on") + vm("late", "com2", uart2="on")
        console = start(t, config, cpus=1, more=["--com2", line.path])
        line.expect("listening")
        for byte in "A\x01\x7f":
            line.send(byte)
            line.expect(f"heard {ord(byte):02x}")
        line.send("x" * 40)  # more than a FIFO holds
        for _ in range(40):
            line.expect("heard 78")
        line.send("q")
        line.expect("heard 71")
        console.expect(r"VM owner ended: powered off", 60)
        text = end(t, console)
        check_says(text, r"late: uart2: the second serial line is owner's: what COM2 prints\s+is\s+dropped")
        check("heard" not in text, "COM2's words came on the console")
    finally:
        line.close()


def case_uart2_absent(t):
    """On a machine with one serial port, a VM's COM2 is there, and what it prints is dropped: one line says so."""
    console = start(t, vm("owner", "com2", uart2="on"), cpus=1)
    console.expect(r"owner: uart2: this machine has no second serial line: what COM2 prints\s+is dropped", 60)
    end(t, console)


def case_watchdog(t):
    """A VM without a sign of life is reported, with where it is; and when it is back. Those that live, sleep for an event, or did not ask are not."""
    config = (vm("hangs", "hang 5", watchdog=2) + vm("sleeps", "sleep", watchdog=2) + vm("lives", "tick", watchdog=2)
              + vm("unwatched", "sleep"))
    console = start(t, config, cpus=1)
    console.expect(r"\[hangs\] no sign of life for 2 seconds: vCPU 0 at 0x[0-9a-f]+", 120)
    console.expect(r"\[hangs\] shows life again", 120)
    console.expect(r"VM hangs ended: powered off", 120)
    text = end(t, console)
    check_says(text, r"\[sleeps\] no sign of life for 2 seconds: vCPU 0 halted with interrupts off at\s+0x")
    check(len(re.findall(r"no sign of life", text)) == 2, "not two reports")


def case_host_watchdog(t):
    """A CPU that hangs in Corbel itself is a panic that shows where, whichever it is; a CPU alone says that nobody watches it."""
    for cpu in (0, 1):
        text = t.batch(t.iso(GUEST, config=vm("spins", "spin"), arguments=f"watchdog=2 hang={cpu}"), 3, cpu=SKYLAKE, cpus=2, limit=120)
        check_says(text, rf"panic on CPU {cpu}: exception 2 \(NMI of the watchdog: this CPU has got nowhere\) in (hang|watch)\+0x",
                   r"RIP [0-9a-f]{16} RFLAGS", r"backtrace:\n(.*\n)+ +[0-9a-f]{16} loop_run\+0x")
    text = t.batch(t.iso(GUEST, config=vm("spins", "share 1"), arguments="watchdog=2 hang=1"), 0, cpu=SKYLAKE, cpus=1, limit=120)
    check_says(text, r"corbel: one CPU: nobody watches that it gets on")
