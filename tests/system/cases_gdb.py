"""Debian's gdb at a VM, by the machine's second serial port. The guest is tests/system/debugged.c."""
import re
import socket
import subprocess

from cases_vms import GUEST, end, start, vm
from harness import check

SYMBOLS = GUEST.with_suffix(".elf64")


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


class Debugged:
    """A machine whose VM `first` gdb can reach."""

    def __init__(self, t, **settings):
        self.port, self.log = free_port(), t.folder / "gdb.txt"
        self.console = start(t, vm("first", "debugged", **{"memory": "4M", **settings}), arguments="stream=com2:gdb:first",
                             more=["--com2", f"tcp:{self.port}"])
        self.console.expect("ready to be debugged", 120)  # and in long mode

    def run(self, *commands, limit=200):
        """A session of gdb's, and what it said."""
        lines = ["set pagination off", "set confirm off", "set remotetimeout 20", f"file {SYMBOLS}", f"target remote localhost:{self.port}",
                 *commands]
        done = subprocess.run(["gdb", "-nx", "-batch", *(word for line in lines for word in ("-ex", line))], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit)
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(done.stdout)
        return done.stdout


def says(text, *patterns):
    """They stand in the text, one behind the other."""
    for pattern in patterns:
        found = re.search(pattern, text)
        check(found, f"gdb said nothing like {pattern!r} in:\n{text}")
        text = text[found.end():]


def case_gdb(t):
    """Registers, memory, threads; breakpoints in memory and in debug registers, a watchpoint, a step of an instruction that exits; the guest's own INT3 is the guest's; Ctrl-C."""
    machine = Debugged(t, cpus=2)
    said = machine.run(
        "info threads", "info registers rip cs cr0 cr3 efer", "x/2i each_round",
        "break *each_round", "continue", "backtrace 1", "x/1xb each_round", "p (long)$pc == (long)&each_round", "delete",
        "hbreak step_here", "continue", "delete",
        "break *(long)&steps", "continue", "delete",
        "break *(long)&step_cpuid", "continue", "delete",
        "p $eax", "stepi", "p (long)$pc - (long)&step_behind",  # which exits; this emulator has no monitor trap flag for others
        "watch watched", "continue", "continue", "delete", "p rounds % 4",
        "set $before = breakpoints_of_its_own", "break *each_round", "continue", "continue", "delete",
        "p breakpoints_of_its_own - $before", "p other_rounds > 0", "set var rounds = 4000000000", "detach")
    says(said, r"\* 1 +Thread 1 \(vCPU 0: \w+\)", r"2 +Thread 2 \(vCPU 1", r"rip +0x", r"cr0 +0x80", r"efer +0x500",
         r"each_round>:", r"hit Breakpoint 1, .*each_round", r"#0 .*each_round", r"= 1",
         r"hit Breakpoint 2, .*step_here", r"hit Breakpoint 3, ", r"hit Breakpoint 4, ", r"= 4660", r"= 0",
         r"Hardware watchpoint 5", r"New value = ", r"New value = ", r"= 0",
         r"hit Breakpoint 6", r"hit Breakpoint 6", r"= 2", r"= 1", r"detached")
    said = machine.run("python import threading, os, signal; threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()",
                       "continue", "p rounds > 4000000000", "detach")
    says(said, r"received signal SIGINT", r"= 1", r"detached")
    end(t, machine.console)
