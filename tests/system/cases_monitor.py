"""The operator's side: the consoles of many VMs on one line, and the monitor. The guest is tests/system/neighbour.c."""
import csv
import json
import os
import re
import time

from cases_vms import end, start, vm
from harness import check, check_says, plain, uuid_of

PROMPT = "(corbel) "
CONFIG = (vm("hearer", "com1", cpus=2) + vm("poser", "pose") + vm("button", "button") + vm("idle", "tick", weight=512, cap=50, pin=0)
          + vm("kept", "power-off", on_poweroff="preserve") + vm("text", "chatter"))


class Desk:
    """A person at the monitor."""

    def __init__(self, console):
        self.console = console

    def keys(self, text):
        self.console.child.send(text)

    def ctrl_a(self, key):
        self.keys("\x01" + key)

    def see(self, pattern, limit=60):
        self.console.expect(pattern, limit)
        return self.console.matched()

    def enter(self):
        self.ctrl_a("c")
        self.see(re.escape(PROMPT))

    def say(self, command, limit=60):
        """A command at the prompt; what it answers, up to the next prompt."""
        self.keys(command + "\r")
        self.console.expect(re.escape(command) + r"\r*\n", limit)  # a line that came meanwhile has the prompt drawn again
        return self.console.expect(r"\r\x1b\[K" + re.escape(PROMPT), limit)

    def asks(self, command, *patterns, limit=60):
        """Types a command; each pattern stands in its answer."""
        answer = self.say(command, limit)
        for pattern in patterns:
            check(re.search(pattern, answer), f"{command!r}: nothing like {pattern!r} in {answer!r}")
        return answer


def begin(t, config=CONFIG, **machine):
    """All of the guests are where they stay; the monitor is in focus."""
    console = start(t, config, **{"cpus": 1, **machine})
    console.expect(r"VM kept ended: powered off", 60)
    desk = Desk(console)
    desk.enter()
    return desk


def case_monitor_info(t):
    """Every `info`, with good and with wrong words."""
    desk = begin(t)
    desk.asks("info vms", r"\* 1 hearer +running +2 +2M +neighbour\.elf", r" 2 poser +running", r" 5 kept +preserved.*\(powered off\)")
    desk.asks("info cpus", r"\* vCPU 0: (halted|active) .*on CPU 0, RIP [0-9a-f]{16}, CPL 0, APIC ID 0", r"vCPU 1: waits for SIPI .*APIC ID 1")
    desk.asks("info cpus poser", r"  vCPU 0: halted ")
    desk.asks("info cpus posr", r"posr: there is no such VM; did you mean poser\?")
    desk.asks("info registers poser", r"RAX=1122334455667788 ", r"RDX=000000000000002a", r"RSI=0000000000005000", r"\[-.*HLT=1", r"CR3=")
    check("vCPU" not in desk.say("info registers 2"), "a VM of one vCPU needs no heading")
    answer = desk.asks("info registers -a hearer", r"vCPU 0\r?\n", r"vCPU 1\r?\n")
    check(answer.count("RIP=") == 2, "not all vCPUs' registers")
    desk.asks("info registers -z", r"info registers has no option -z: info registers \[-a\] \[vm\]")
    desk.asks("info exits poser", r"HLT +\d+", r"total +\d+")
    desk.asks("info exits -pmg idle", r"unclaimed ports:", r"unknown MSRs:", r"unclaimed guest-physical addresses:", r"is not watched; 'trace on idle'")
    desk.asks("info exits nobody", r"nobody: there is no such VM; 'info vms' lists them")
    desk.asks("info mem", r"machine: \d+ KiB, \d+ KiB of them free, \d+ KiB Corbel's", r"poser +holds \d+ KiB alone, 0 KiB with", r"poser +000000000000-0000001fffff RAM, at [0-9a-f]{12} of the machine")
    desk.asks("info irq idle", r"vCPU 0: APIC ID 0 x2APIC", r"timer fixed 41", r"(?i)8259|PIC", r"(?i)I/?O ?APIC")
    desk.asks("info sched", r"CPU 0 +APIC ID 0 +idle +\d+%", r"idle +0 +(waiting|queued|running) +0 +0 +50% +512 +\d+", r"hearer +1 ")
    desk.asks("info capabilities", r"VMX: 1 CPU", r"EPT")
    desk.asks("info version", r"Corbel, a hypervisor for Intel VMX, up 0:0\d:\d\d")
    desk.asks("info uuid poser", uuid_of("poser"))
    desk.asks("info vm-generation-id poser", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    desk.asks("info trace idle", r"vCPU 0 is not watched")
    desk.asks("info", r"info vms ", r"info registers \[-a\] \[vm\]")
    desk.asks("info nothing", r"info nothing: there is no such command; 'info' lists them")
    desk.asks("info regsters", r"did you mean info registers\?")
    desk.asks("info vms poser", r"poser: one word too many: info vms")
    desk.asks("inof vms", r"inof: there is no such command; did you mean info\?")
    desk.asks("info exits -", r"an option is a '-' and a letter from a to z")
    desk.asks("info " + "x " * 20, r"more than 16 words: no command has so many")
    desk.asks("help", r"system_powerdown \[vm\]", r"kill vm ", r"x \[/COUNT FORMAT SIZE\] address")
    desk.asks("help kill", r"kill vm +end a VM at once")
    desk.asks("help me", r"me: there is no such command")
    desk.asks("log", r"Corbel, a hypervisor for Intel VMX", r"tsc: \d+ kHz", r"corbel: ready: 6 VMs", r"VM kept ended: powered off")
    end(t, desk.console)


def case_monitor_exits(t):
    """Exits by reason, port and MSR as text, CSV and JSON lines: the same figures, and sums that are right; and a line for each in the log."""
    desk = begin(t)

    def jsons(command):
        return [json.loads(line) for line in re.findall(r"\{.*\}", desk.say(command))]

    def csvs(command):
        lines = [line for line in plain(desk.say(command)).splitlines() if line.startswith(("vm,", "idle,"))]
        return list(csv.DictReader(lines, strict=True))

    def count(rows, *numbers):
        return sum(row["count"] for row in rows if row["number"] in numbers)

    desk.asks("stop idle", r"idle is stopped")
    before = jsons("info exits -j idle")
    desk.asks("trace on idle", r"each exit of idle has a line from now on, at most 50 a second")
    desk.asks("cont idle", r"idle runs")
    desk.see(r"\[idle:0\] [\d.]+ [0-9a-f]+ HLT: HLT \(f4\): -: waits, \d+ cycles\r?\n")
    desk.asks("stop idle", r"idle is stopped")
    after = jsons("info exits -j idle")
    for row in after:
        check(sum(row["histogram"].values()) == row["count"] and row["max"] <= row["cycles"], f"a histogram does not add up: {row}")
    check(count(after, 12) > count(before, 12), "HLT did not exit")
    for option, kind, numbers in (("m", "MSRs", (31, 32)), ("p", "ports", (30,)), ("g", "guest-physical pages", (48,))):
        rows = jsons(f"info exits -j -{option} idle")
        listed = sum(row["count"] for row in rows if row["what"] == kind)
        check(listed == count(after, *numbers) - count(before, *numbers), f"{kind}: {listed} listed, not what was counted")
        same = [{**row, "vcpu": str(row["vcpu"] if row["vcpu"] is not None else ""), "address": hex(row["address"]), "count": str(row["count"])}
                for row in rows]
        check(csvs(f"info exits -c -{option} idle") == same, f"{kind}: CSV and JSON are not the same")
    for row, other in zip(after, csvs("info exits -c idle")):
        check(other["histogram"] == " ".join(f"{bucket}:{k}" for bucket, k in row["histogram"].items()), f"not the same: {row} {other}")
        check(all(str(row[key]) == other[key] for key in ("vm", "vcpu", "number", "reason", "count", "cycles", "max")), f"not the same: {row} {other}")
    total = int(re.search(r"total +(\d+)", desk.say("info exits idle")).group(1))
    check(total == sum(row["count"] for row in after if not row["reason"].startswith("(")), f"the sum of the exits is not {total}")
    desk.asks("info exits -h idle", r"HLT +2\^\d+:\d+")
    desk.asks("info uuid poser", uuid_of("poser"))
    desk.asks("info trace idle", r"vCPU 0: \d+ exits were noted", r"\[idle:0\] .* HLT ")
    check("[idle:0]" not in desk.say("log debug"), "traces are in the log")
    desk.asks("trace on idle port=0x1234 reason=hlt", r"each such exit of idle has a line")
    desk.asks("trace off idle")
    desk.asks("info uuid poser", uuid_of("poser"))
    desk.asks("info trace idle", r"vCPU 0 is not watched")
    desk.asks("info vcpu poser", r"live\.xss = 0x0\r?\n", r"lapic\.page\.word = ")
    desk.asks("info vmcs poser", r"guest CR3 +[0-9a-f]{16}", r"VM-exit instruction length")
    desk.asks("cont idle", r"idle runs")
    end(t, desk.console)


def case_monitor_memory(t):
    """x and xp: formats, sizes, registers, sums, and all that is wrong with them."""
    desk = begin(t)
    desk.ctrl_a("2")
    desk.see(r"--- 2: poser \(Ctrl-A h helps\) ---")
    desk.see(r"posing")
    desk.enter()
    desk.asks("xp /2xg 0x5010", r"0000000000005010: 0xfedcba9876543210 0x[0-9a-f]{16}")
    desk.asks("x/s $rsi", r"0000000000005000: \"on the desk\"")
    desk.asks("x/4c 0x5000", r"'o' 'n' ' ' 't'")
    desk.asks("x/1dw $rdx+0x4fe6+0x2", r"0000000000005012: -?\d+")
    desk.asks("xp/2xb 0x5010", r": 0x10 0x32")
    desk.asks("xp/1xh $rsi+16", r": 0x3210")
    desk.asks("xp/1ug 0x5010", r": 18364758544493064720")
    desk.asks("xp/1ow 0x5010", r": 0?16625031020")
    desk.asks("x $rsi", r"0000000000005000: 0x74206e6f")
    desk.asks("xp 0x200000", r"guest-physical address 0x200000 is not in this VM's RAM")
    desk.asks("x 0x8000000000000000", r"(?i)0x8000000000000000 .*(no|not|cannot)")
    desk.asks("x/0x 0", r"a count is 1 to 4096")
    desk.asks("x/99999999999999999999x 0", r"a count is 1 to 4096")
    desk.asks("x/1z 0", r"z: a format is x, d, u, o, c or s; a size b, h, w or g")
    desk.asks("x/i $rip", r"there is no disassembler here")
    desk.asks("x $nonsense", r"an address is a number or a register")
    desk.asks("x 12zz", r"an address is a number or a register")
    desk.asks("x", r"x needs more: x \[/COUNT FORMAT SIZE\] address")
    desk.asks("x 1 2", r"an address is a number or a register")
    desk.asks("x 1 2 3", r"3: one word too many")
    desk.asks("cpu 1", r"poser has vCPU 0 only")
    desk.asks("cpu", r"vCPU 0 of poser")
    end(t, desk.console)


def case_monitor_control(t):
    """VMs are stopped, let go on, reset, switched off, ended and started; traces and NMIs."""
    desk = begin(t)
    desk.asks("stop idle", r"idle is stopped; 'cont idle' lets it go on")
    desk.asks("stop idle", r"idle is stopped; 'cont idle' lets it go on")
    desk.asks("info vms", r" 4 idle +stopped")
    before = desk.asks("info sched", r"idle +0 +parked")
    check(re.search(r"idle +0 .*", before).group() == re.search(r"idle +0 .*", desk.say("info sched")).group(), "a stopped VM runs")
    desk.asks("system_powerdown idle", r"idle is stopped; 'cont idle'")
    desk.asks("cont idle", r"idle runs")
    desk.asks("cont idle", r"idle runs already")
    desk.asks("cont kept", r"kept has ended: powered off; 'system_reset kept' starts it anew, 'kill kept' ends it")
    desk.asks("start idle", r"idle has not ended; 'system_reset idle' starts it anew")
    desk.asks("start", r"start needs more: start vm")
    desk.asks("kill", r"kill needs more: kill vm")
    desk.asks("kill nobody", r"nobody: there is no such VM")
    desk.asks("stop idle now", r"now: one word too many: stop \[vm\]")
    desk.asks("system_powerdown idle", r"idle does not listen to its power button; 'kill idle' ends it")
    desk.asks("trace maybe", r"trace on \[vm\] \[WHICH \.\.\.\], or trace off \[vm\]")
    desk.asks("trace", r"trace needs more: trace on\|off \[vm\] \[WHICH")

    desk.keys("system_powerdown button\r")
    desk.see(r"VM button ended: powered off")
    desk.asks("info vms", r" 3 button +ended")
    desk.asks("stop button", r"button has ended; 'start button' starts it again")
    desk.asks("start button", r"button starts")
    desk.keys("system_reset poser\r")
    desk.see(r"VM poser: reset: restart 1\r?\n")
    desk.keys("system_reset kept\r")  # a preserved VM starts anew, ends again, and is preserved again
    desk.see(r"VM kept: powered off: restart 1\r?\n")
    desk.see(r"VM kept ended: powered off")
    desk.asks("info vms", r" 5 kept +preserved", r" 3 button +running")
    desk.asks("nmi poser")
    desk.keys("console poser\r")
    desk.see(r"--- 2: poser ")
    desk.see(r"posing\r?\nposing\r?\nNMI")
    desk.enter()
    desk.keys("kill idle\r")
    desk.see(r"VM idle ended: killed")
    desk.keys("stop poser\r")
    desk.see("poser is stopped")
    desk.keys("kill poser\r")  # a VM that stands still can be ended, too
    desk.see(r"VM poser ended: killed")
    desk.asks("start poser", r"poser starts")
    desk.asks("info vms", r" 2 poser +running", r" 4 idle +ended")
    desk.keys("quit\r")
    desk.console.ends(0)
    text = plain(t.seen())
    check_says(text, r"VM poser ended: killed", r"corbel: end: stopped killed", r"(\d+) frames free, \1 before the first VM")
    check("panic" not in text.lower(), "panic")


def case_monitor_line(t):
    """The line editor: history, completion, arrows, Ctrl keys, lines that are too long."""
    desk = begin(t)
    desk.asks("info version", r"up ")
    desk.keys("\x1b[A\r")  # up: the same again
    desk.see(r"info version.*up \d")
    desk.see(re.escape(PROMPT))
    desk.keys("\x10\x0e" + "inf\tversion\r")  # Ctrl-P, Ctrl-N, and a word completed by Tab
    desk.see(r"info version.*up \d")
    desk.see(re.escape(PROMPT))
    desk.keys("sys\t")
    desk.see(r"system_")
    desk.keys("\t")  # twice: what there is
    desk.see(r"system_powerdown +system_reset")
    desk.keys("p\tpo\t\x15")  # a VM's name; and Ctrl-U: nothing of it is done
    desk.see(r"system_powerdown poser ")
    desk.asks("trace off idle")
    desk.keys("info vrsion\x1b[D\x1b[D\x1b[D\x1b[D\x1b[De\r")  # the cursor goes back to mend a word
    desk.see(r"info version.*up \d")
    desk.see(re.escape(PROMPT))
    desk.keys("nonsense\x17info versionx\x08\r")  # Ctrl-W, Backspace
    desk.see(r"info version.*up \d")
    desk.see(re.escape(PROMPT))
    desk.keys("gone\x03")  # Ctrl-C
    desk.see(r"gone\^C")
    desk.see(re.escape(PROMPT))
    desk.keys("x" * 300 + "\r")
    desk.see(r"The line is longer than 255 characters: shorten it, or clear it with Ctrl-U")
    desk.keys("\x15")
    desk.asks("info version", r"up ")
    desk.asks("", r"^")
    end(t, desk.console)


def case_monitor_keys(t):
    """Ctrl-A and each of its keys; what a VM out of focus printed is shown when it is chosen."""
    desk = begin(t)
    desk.ctrl_a("h")
    desk.see(r"Ctrl-A x +end all VMs and switch off")
    desk.ctrl_a("?")
    desk.see(r"Ctrl-A x +end all VMs and switch off")
    desk.ctrl_a("1")
    desk.see(r"--- 1: hearer \(Ctrl-A h helps\) ---")
    desk.see(r"listening")
    desk.keys("A")
    desk.see(r"heard 41")
    desk.ctrl_a("\x01")  # Ctrl-A twice, and Ctrl-A a: the key itself
    desk.see(r"heard 01")
    desk.ctrl_a("a")
    desk.see(r"heard 01")
    desk.ctrl_a("b")
    desk.see(r"heard a break")
    desk.keys("hello")
    for byte in "hello":
        desk.see(rf"heard {ord(byte):02x}")
    desk.ctrl_a("n")
    desk.see(r"--- 2: poser ")
    desk.see(r"posing")
    desk.ctrl_a("p")
    desk.see(r"--- 1: hearer ")
    desk.see(r"heard 41\r?\nheard 01\r?\nheard 01\r?\nheard a break\r?\nheard 68")  # replayed
    desk.ctrl_a("p")  # around
    desk.see(r"--- 6: text ")
    replay = desk.see(r"line 2000 of a long text", 60)
    check(replay, "no replay")
    lines = re.findall(r"line (\d+) of a long text", plain(t.seen()).rpartition("--- 6: text ")[2])
    check([int(line) for line in lines] == list(range(int(lines[0]), 2001)) and int(lines[0]) > 700,
          f"the scroll-back is not the last whole lines: {lines[:3]} to {lines[-1:]}")
    desk.ctrl_a("7")  # there is no such VM: nothing happens
    desk.ctrl_a("z")
    desk.ctrl_a("0")
    desk.see(r"--- all VMs ")
    desk.enter()
    desk.asks("console 1 2", r"2: one word too many")
    desk.keys("console hearer\r")
    desk.see(r"--- 1: hearer ")
    desk.keys("q")  # it switches itself off; the console stays its own
    desk.see(r"VM hearer ended: powered off")
    desk.enter()
    desk.asks("info vms", r" 1 hearer +ended")
    end(t, desk.console)


def is_in(desk, name, state):
    """Asks until the VM is in this state."""
    deadline = time.monotonic() + 60
    while not re.search(rf"\d {name} +{state}\b", desk.say("info vms")):
        check(time.monotonic() < deadline, f"{name} does not become {state}")


def case_monitor_pieces(t):
    """A VM that fits in no free range of the machine's memory starts in pieces of it, and leaves nothing behind."""
    config = vm("kept", "power-off", on_poweroff="preserve") + vm("big", "tick", memory="48M") + vm("wall", "tick") + \
        vm("one", "tick", memory="16M")
    desk = begin(t, config, memory=96)
    place = r"big +([0-9a-f]{12})-([0-9a-f]{12}) RAM"
    check(len(re.findall(place, desk.say("info mem"))) == 1, "the memory was in pieces at once")
    for name in ("big", "one"):
        desk.keys(f"kill {name}\r")
        desk.see(rf"VM {name} ended: killed")
        is_in(desk, name, "ended")
    for name in ("one", "big"): # the former takes a part of the latter's
        desk.asks(f"start {name}", rf"{name} starts")
        is_in(desk, name, "running")
    pieces = [(int(start, 16), int(last, 16) + 1) for start, last in re.findall(place, desk.say("info mem"))]
    check(len(pieces) > 1 and pieces[0][0] == 0 and pieces[-1][1] == 48 << 20, f"pieces: {pieces}")
    check(all(left[1] == right[0] for left, right in zip(pieces, pieces[1:])), f"pieces: {pieces}")
    desk.asks("info exits big", r"total +\d+")
    end(t, desk.console)


def case_monitor_cycles(t):
    """A VM is stopped, let go on, reset, ended and started again and again (CYCLES times; 25), another one ended while it is being made: no
    frame is lost."""
    cycles = int(os.environ.get("CYCLES", "25"))
    desk = begin(t, vm("kept", "power-off", on_poweroff="preserve") + vm("a", "tick", cpus=2) + vm("large", "tick", memory="128M"),
                 limit=60 + 5 * cycles)
    free = set()
    desk.say("kill large")
    is_in(desk, "large", "ended")
    for _ in range(cycles):
        desk.asks("stop a", r"a is stopped")
        desk.asks("cont a", r"a runs")
        desk.asks("trace on a", r"info trace")
        desk.say("system_reset a")
        is_in(desk, "a", "running")
        desk.keys("kill a\r")
        desk.see(r"VM a ended: killed")
        is_in(desk, "a", "ended")
        desk.asks("start large", r"large starts")
        check(re.search(r"\d large +starting", desk.say("info vms")), "it is made too soon to be ended meanwhile")
        desk.keys("kill large\r")
        desk.see(r"VM large ended: killed")
        is_in(desk, "large", "ended")
        time.sleep(0.05)
        free.add(re.search(r"(\d+) KiB of them free", desk.say("info mem")).group(1))
        desk.asks("start a", r"a starts")
        is_in(desk, "a", "running")
    check(len(free) == 1, f"the free memory changed: {sorted(free)} KiB")
    end(t, desk.console)
