"""Several VMs on one serial line: their consoles, and the operator's monitor."""
import time

import pexpect

from harness import INITRD, KERNEL, PROMPT, SKYLAKE, Failure, check, check_says

VM = """
[vm {name}]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = console=ttyS0
"""
FILES = (f"vmlinuz={KERNEL}", INITRD)
BOOT = 600  # seconds to both shells
MONITOR = r"\(corbel\) "
CTRL_A = "\x01"


def say(console, command):
    """A command at the monitor's prompt; what it answers."""
    console.type(command + "\r")
    echo, _newline, answer = console.expect(MONITOR, 60).partition("\n")
    check(echo.endswith(command), f"{command!r} was echoed as {echo!r}")
    return answer


def enter_monitor(console):
    console.type(CTRL_A + "c")
    console.expect(MONITOR, 60)


def choose(console, digit, name):
    console.type(CTRL_A + digit)
    console.expect(rf"--- {digit}: {name} ", 60)


def stays_silent(console, pattern, seconds):
    try:
        console.expect(pattern, seconds)
    except Failure:
        return
    raise Failure(f"{pattern!r} came although nothing should")


def boot_two(t, **machine):
    """Two Linux VMs, both at their shells; the monitor in focus. Their lines came whole, with their names."""
    console = t.boot(t.iso(*FILES, config=VM.format(name="alpha") + VM.format(name="beta")), cpu=SKYLAKE, limit=1800,
                     **machine)
    seen = set()
    while seen != {"alpha", "beta"}:
        console.expect(r"\[(alpha|beta)\] guest# ", BOOT)
        seen.add(console.child.match.group(1))
    enter_monitor(console)
    log = t.log.read_text(encoding="utf-8", errors="replace")
    for name in ("alpha", "beta"):
        check_says(log, rf"(?m)^\[{name}\] \[    0\.000000\] Linux version [^\n]*\r?$",
                   rf"(?m)^\[{name}\] Welcome to Linux[^\n]*\r?$")
    return console


def case_monitor(t):
    """Two Linux VMs: consoles are chosen, and the monitor looks at VMs, stops, ends and starts them."""
    console = boot_two(t)
    check_says(say(console, "info vms"), r"1 alpha +running", r"2 beta +running")
    check_says(say(console, "inof vms"), r"did you mean info\?")
    check_says(say(console, "stop bta"), r"did you mean beta\?")
    check_says(say(console, "info exits beta"), r"port I/O +\d{4,}", r"total +\d+")
    check_says(say(console, "info registers"), r"RIP=[0-9a-f]{16} ", r"CR3=0[0-9a-f]{15}")
    check_says(say(console, "x/2xg $rsp"), r"[0-9a-f]{16}: 0x[0-9a-f]{16} 0x[0-9a-f]{16}")
    check_says(say(console, "info mem"), r"alpha +000000000000-000007ffffff RAM")

    choose(console, "1", "alpha")
    console.expect(PROMPT, 60)
    check(console.run("echo one $((6 * 7))") == "one 42", "alpha's shell")
    choose(console, "2", "beta")
    console.expect(PROMPT, 60)
    check(console.run("echo two $((6 * 8))") == "two 48", "beta's shell")
    choose(console, "1", "alpha")
    console.expect("one 42", 60)  # kept while beta was looked at
    console.expect(PROMPT, 60)

    enter_monitor(console)
    check_says(say(console, "stop beta"), r"beta is stopped")
    check_says(say(console, "info vms"), r"1 alpha +running", r"2 beta +stopped")
    choose(console, "2", "beta")
    console.expect(PROMPT, 60)
    console.type("echo $((7 * 7))\r")
    stays_silent(console, r"\n49\r", 5)
    enter_monitor(console)
    check_says(say(console, "cont beta"), r"beta runs")
    console.type("console beta\r")
    console.expect(r"\n49\r", 60)
    console.expect(PROMPT, 60)

    enter_monitor(console)
    check_says(say(console, "trace on beta"), r"are noted from now on")
    choose(console, "2", "beta")
    console.type("echo $((100 * 100))\r")  # the replay holds prompts, so its answer is waited for
    console.expect(r"\n10000\r", 60)
    enter_monitor(console)
    check_says(say(console, "info exits -hp beta"), r"port I/O +2\^\d+:\d+", r"(?m)^ports:.* 0x3f8:\d+")
    check_says(say(console, "info trace alpha"), r"is not watched")

    console.type("kill beta\r")
    console.expect(r"corbel: VM beta ended: killed", 60)
    console.expect(MONITOR, 60)
    time.sleep(2)
    console.expect([MONITOR, pexpect.TIMEOUT], 2)  # the prompt again, below the summary
    check_says(say(console, "info vms"), r"1 alpha +running", r"2 beta +ended")
    check_says(say(console, "start beta"), r"beta runs")
    choose(console, "2", "beta")
    console.expect(r"Linux version.*Linux version", 120)
    enter_monitor(console)
    console.type("quit\r")
    check_says(console.ends(2), r"corbel: end: stopped killed")
