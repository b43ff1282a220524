"""Linux beside every kind of hostile neighbour at once: it loses no tick, and it gets its share."""
import re
import time

from cases_monitor import Desk
from cases_vms import GUEST, check_frames, vm
from harness import BUILD, KERNEL, SKYLAKE, check, check_says, plain

HOSTILE = {"triple": ("triple-fault", {}), "reset": ("reset", {}), "ports": ("ports", {}),
           "storm": ("storm", {}), "ept": ("ept", {}), "flush": ("flush", {}), "deaf": ("spin", {}),
           "rings": ("rings", {"memory": "8M", "disk": "ram:1M", "balloon": "yes", "rng": "yes"}), "flood": ("flood", {"memory": "8M", "cpus": 2, "disk": "ram:1M"}),
           "entry": ("spin", {"on_crash": "restart"})}  # the last by fail_entry=
WEIGHT = 512
DUE = WEIGHT / (WEIGHT + 256 * len(HOSTILE))
LINUX = f"""
[vm linux]
memory  = 128M
weight  = {WEIGHT}
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = console=ttyS0
"""
HZ = 250  # of Debian's kernel
PM_HZ = 3579545
LOOK = re.compile(r"LOOK (\d) clock=(\d+) raw=(\d+) jiffies=(\d+) pm=(\d+) rtc=(\d+) ticks=(\d+) steal=(\d+)")


def each(desk, command, answer):
    """A command of the monitor for each of the hostile ones. What comes back is told by its words alone: messages of restarts cut up the echo.
    No line here is longer than the serial port's FIFO of 16 bytes: while a guest runs that was entered with interrupts off, the emulator holds
    the port's back until its slice is over."""
    for name in HOSTILE:
        said, deadline = "", time.monotonic() + 60
        while not re.search(answer, said):  # one that starts again and again may be between two lives
            check(time.monotonic() < deadline, f"{command} {name}: {said!r}, nothing like {answer!r}")
            desk.keys(f"{command} {name}\r")
            said = desk.see(rf"\n[^\n]*{name} (is stopped|is being started|does not run|runs)[^\n]*\n")


def received(desk):
    """By `info sched`: milliseconds since the machine was switched on, and those that Linux ran."""
    desk.keys("info sched\r")
    found = re.search(r"of ([\d.]+) ms\)(?s:.*)linux +0 (?:queued|running) .* (\d+)\n",
                      desk.see(r"of [\d.]+ ms\)(?s:.*?)received ms\r?\n(?s:.*?)\(corbel\) "))
    check(found, "Linux does not spin any more: the time was too short")
    return float(found.group(1)), float(found.group(2))


def check_clocks(before, after, what):
    """Between two looks, every clock went on by the same time."""
    clock, raw, jiffies, pm, rtc, _ticks, _steal = (b - a for a, b in zip(before, after))
    seconds = clock / 1e9
    check(abs(jiffies - seconds * HZ) <= 2, f"{what}: {jiffies} ticks of {HZ} Hz in {seconds:.3f} s")
    check(abs(raw - clock) < clock / 1000 + 1e6, f"{what}: by the raw clock {raw / 1e9:.4f} s, else {seconds:.4f} s")
    check(abs(pm / PM_HZ - seconds) < 0.02, f"{what}: by the PM timer {pm / PM_HZ:.3f} s, else {seconds:.3f} s")
    check(abs(rtc - seconds) <= 1.1, f"{what}: by the RTC {rtc} s, else {seconds:.3f} s")
    return seconds


def long_isolation_linux(t):
    """Beside guests that crash, reset, hammer ports, storm, violate EPT, flush, spin deaf, fail VM entry, and break and flood virtio's rings, all on one CPU, Linux loses no tick."""
    config = LINUX + "\n" + "".join(vm(name, what, **settings) for name, (what, settings) in HOSTILE.items())
    console = t.boot(t.iso(f"vmlinuz={KERNEL}", f"initrd.gz={BUILD / 'system' / 'initrd-timekeeper.gz'}", GUEST, config=config,
                           arguments="fail_entry=entry"), cpu=SKYLAKE, limit=900)
    desk = Desk(console)
    console.expect(r"ready: \d+ VMs?", 120)
    desk.enter()
    each(desk, "stop", r"is stopped|does not run")  # until Linux is up: what counts is the time with all of them
    desk.ctrl_a("1")
    console.expect("READY", 400)
    desk.enter()
    each(desk, "cont", r" runs")
    desk.ctrl_a("1")
    desk.keys("\r")
    console.expect("SPINS", 120)
    desk.enter()
    begin = end = received(desk)
    while end[0] < begin[0] + 1500:
        time.sleep(1)
        end = received(desk)
    desk.ctrl_a("1")
    console.expect(r"UPTIME \d+\r?\n", 300)
    console.expect("VM linux ended: powered off", 60)
    desk.ctrl_a("x")
    console.ends(0)

    seen = plain(t.seen())
    check("panic" not in seen.lower(), "panic")
    check_frames(seen)
    check("COMPLAINT" not in seen, "Linux complained: " + "; ".join(re.findall("COMPLAINT (.*)", seen)))
    looks = {int(n): [int(value) for value in values] for n, *values in LOOK.findall(seen)}
    check(sorted(looks) == [0, 1, 2], f"looks at the clocks: {sorted(looks)}")
    spun = check_clocks(looks[0], looks[1], "spinning")
    dozed = check_clocks(looks[1], looks[2], "dozing")
    away, longest, back = (int(n) for n in re.search(r"SPUN away=(\d+) longest=(\d+) back=(\d+)", seen).groups())
    latest = int(re.search(r"DOZED latest=(\d+)", seen).group(1))
    uptime = int(re.search(r"UPTIME (\d+)", seen).group(1)) / 1e9
    ran, life = (float(n) / 1000 for n in re.search(r"\[linux\] vCPU 0: ran ([\d.]+) of ([\d.]+) ms", seen).groups())
    share = (end[1] - begin[1]) / (end[0] - begin[0])
    stolen = (looks[1][6] - looks[0][6]) / 100  # USER_HZ
    figures = (f"{spun:.3f} s spun: {1 - away / 1e9 / spun:.1%} by gaps, {1 - stolen / spun:.1%} by steal time, {share:.1%} by info sched over "
               f"{(end[0] - begin[0]) / 1000:.2f} s, {DUE:.1%} due; away {longest / 1e6:.1f} ms at most; {dozed:.3f} s dozed, "
               f"{latest / 1e6:.1f} ms late at most; up {uptime:.2f} s of {life:.2f} s")
    check(back == 0, "the clock went back")
    check(share > DUE - 0.01, f"by info sched, Linux got {share:.1%} of the CPU, {DUE:.1%} is due")
    check(1 - away / 1e9 / spun > DUE - 0.01, f"by its own clock, Linux ran {1 - away / 1e9 / spun:.1%} of the time, {DUE:.1%} is due")
    check(abs(stolen - away / 1e9) < 0.1, f"{stolen:.2f} s were stolen, it was away for {away / 1e9:.2f} s")
    check(longest < 10e6 * (len(HOSTILE) + 2), f"Linux stood still for {longest / 1e6:.0f} ms")
    check(latest < 10e6 * (len(HOSTILE) + 2), f"a sleep ended {latest / 1e6:.0f} ms late")
    check(0 <= life - uptime < 6, f"{uptime:.2f} s since the boot for Linux, {life:.2f} s for Corbel")
    for name, why in (("triple", "triple fault"), ("reset", "reset"), ("entry", "VM entry failed")):
        check_says(seen, rf"VM {name}: {why}: restart 8\n")
    check_says(seen, r"\[entry\] CR3 target count = ", r"\[entry\] .*RFLAGS = 0", r"\[entry\] VM entry failed: exit reason 0x80000021")
    return figures
