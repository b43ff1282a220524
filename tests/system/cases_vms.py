"""Many VMs on one machine: their lives, their ends, what they leave to each other. The guest is tests/system/neighbour.c."""
import re

from harness import BUILD, SKYLAKE, check, check_says

GUEST = BUILD / "guests" / "neighbour.elf"
RAN = re.compile(r"VM (\S+) ended: [^\n]*\n(?:(?!corbel: VM).*\n)*?vCPU 0: ran ([\d.]+) of ([\d.]+) ms")


def vm(name, what, **settings):
    """A section of vms.conf: a small VM that does `what` (see neighbour.c)."""
    settings = {"memory": "2M", "kernel": GUEST.name, "exit_stats": "off", **settings}
    return "\n".join([f"[vm {name}]", f"cmdline = {what}", *(f"{key} = {value}" for key, value in settings.items()), "\n"])


def received(text):
    """Of each VM that has ended: its name, the milliseconds that it ran, and those that it lived."""
    return {name: (float(ran), float(life)) for name, ran, life in RAN.findall(text)}


def check_frames(text):
    """Nothing is lost: as many frames are free when the last VM is gone as before the first."""
    found = re.search(r"(\d+) frames free, (\d+) before the first VM", text)
    check(found, "no count of free frames at the end")
    check(found.group(1) == found.group(2), f"{found.group(1)} frames are free at the end, {found.group(2)} were before")


def start(t, config, **machine):
    return t.boot(t.iso(GUEST, config=config), cpu=SKYLAKE, **{"cpus": 2, "limit": 400, **machine})


def run(t, config, status=0, **machine):
    text = t.batch(t.iso(GUEST, config=config), status, cpu=SKYLAKE, **{"cpus": 2, "limit": 400, **machine})
    check("panic" not in text.lower(), "panic")
    check("FAIL" not in text, "a guest says FAIL")
    check_frames(text)
    return text


def end(t, console):
    """The operator ends all VMs."""
    console.type("\x01x")
    console.ends(0)
    text = t.seen().replace("\r", "")
    check("panic" not in text.lower(), "panic")
    check("FAIL" not in text, "a guest says FAIL")
    check_frames(text)
    return text


def case_vms_restart(t):
    """A guest that resets itself, a thousand times over: no frame is lost, no line is printed for each."""
    console = start(t, vm("again", "reset"))
    console.expect(r"restart 1024 .*\n", 300)
    text = end(t, console)
    lines = re.findall(r"VM again: reset: restart \d+ \((\d+) frames free\)", text)
    check(11 <= len(lines) <= 13, f"{len(lines)} lines about restarts")
    check(len(set(lines)) == 1, f"the number of free frames changed: {lines}")


def case_vms_actions(t):
    """on_poweroff, on_reboot and on_crash: each of their values."""
    ends = {"on_poweroff": ("power-off", "powered off"), "on_reboot": ("reset", "reset"), "on_crash": ("triple-fault", "triple fault")}
    config = "".join(vm(f"{key}-{action}", what, **{key: action})
                     for key, (what, _) in ends.items() for action in ("preserve", "destroy", "restart"))
    console = start(t, config)
    console.expect(r"VM on_crash-restart: .*: restart 4 ", 120)
    text = end(t, console)
    for key, (_, words) in ends.items():
        for action in ("preserve", "destroy"):
            check_says(text, rf"VM {key}-{action} ended: {words}")
            check(f"VM {key}-{action}: " not in text, f"{key} = {action} started the VM again")
        check_says(text, rf"VM {key}-restart: {words}: restart 2 ", rf"VM {key}-restart ended: ")


def case_vms_preserve(t):
    """A VM that ended and is preserved keeps its memory and the machine up, for the operator to look at; killed, it is gone."""
    console = start(t, vm("kept", "triple-fault", on_crash="preserve"), cpus=1)
    console.expect(r"VM kept ended: triple fault", 60)
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type("info vms\r")
    console.expect(r"1 kept +preserved .*\(triple fault\)", 60)
    console.type("info registers\r")
    console.expect(r"RIP=[0-9a-f]{16}", 60)
    console.type("kill kept\r")
    console.ends(2)
    check_says(t.seen(), r"corbel: end: stopped.*triple", r"(\d+) frames free, \1 before the first VM")


def case_vms_bad_input(t):
    """Each VM that cannot be has its line; those that can be run, and two of them share a module."""
    config = (vm("first", "share 1") + vm("first", "spin 1") + vm("large", "spin 1", memory="4G") + vm("nowhere", "spin 1", pin=7)
              + vm("lost", "spin 1", kernel="absent.elf") + vm("none", "spin 1", cpus=0) + vm("last", "spin 1"))
    text = run(t, config)
    check_says(text, r'vms\.conf:\d+: a VM "first" is on line 1 already', r"large: memory = 4096M does not fit", r"absent\.elf",
               r"nowhere: pin = 7: there is no such CPU", r"vms\.conf:\d+: cpus = 0", r"corbel: 3 VMs started")
    check(set(received(text)) == {"first", "nowhere", "last"}, f"ran: {sorted(received(text))}")


def case_vms_no_room(t):
    """VMs with 64 vCPUs each until memory is full: the ones that fit run, each other has its line, no frame is lost."""
    text = run(t, "".join(vm(f"v{i}", "spin 1", cpus=64) for i in range(24)), memory=64)
    refused = re.findall(r"corbel: v\d+: .*(?:no memory for|does not fit).*", text)
    check(refused and len(received(text)) == 24 - len(refused) > 2, f"{len(refused)} refused, {len(received(text))} ran")


def case_vms_64(t):
    """64 VMs run; the 65th has its line."""
    text = run(t, "".join(vm(f"v{i}", "tick 1") for i in range(65)))
    check_says(text, r"vms\.conf:\d+: .*64", r"corbel: 64 VMs started")
    check(len(received(text)) == 64, f"{len(received(text))} VMs ran")


def case_vms_shares(t):
    """vCPUs that spin, one with interrupts off, get CPU time within 1% of their weights over 50 slices each, as they count it."""
    weights = {"a": 256, "b": 512, "c": 128, "deaf": 256, "e": 384, "f": 100}
    text = run(t, "".join(vm(name, "deaf 2" if name == "deaf" else "share 2", weight=weight) for name, weight in weights.items()))
    shares = {name: int(share) / 20000 for name, share in re.findall(r"\[(\S+)\] SHARE (\d+)", text)}
    check(len(shares) >= len(weights) - 1, f"only {sorted(shares)} have measured")
    for name, share in shares.items():
        due = weights[name] / sum(weights.values())
        check(abs(share - due) < 0.01, f"{name} of weight {weights[name]} got {share:.2%} of the machine instead of {due:.2%}")


def case_vms_wake(t):
    """A vCPU that an interrupt wakes runs at once on an idle CPU; on busy ones within a slice of 3 ms."""
    for others, limit in ((0, 300), (4, 3300)):
        text = run(t, vm("wakes", "wake 2", cpus=2) + "".join(vm(f"busy{i}", "spin 2") for i in range(others)))
        late = int(re.search(r"LATE (\d+)", text).group(1))
        check(late <= limit, f"beside {others} that spin it took {late} us")


def case_vms_cores(t):
    """Two threads of one core: VMs take turns, so three vCPUs that spin have a third of a thread each, and not two; a VM's two vCPUs run together."""
    iso = t.iso(GUEST, config=vm("one", "share 3") + vm("two", "share 3") + vm("pair", "wake 3", cpus=2), arguments="mitigations=force")
    text = t.batch(iso, 0, cpu=SKYLAKE, cpus=2, limit=400, more=("--bochs", "count=1:1:2"))
    check_says(text, r"mitigations:.* core\b", r"2 CPUs")
    check_frames(text)
    shares = [int(share) / 10000 for share in re.findall(r"SHARE (\d+)", text)]
    check(len(shares) == 2 and all(abs(share - 1 / 3) < 0.04 for share in shares), f"shares of a thread: {shares}")
    late = int(re.search(r"LATE (\d+)", text).group(1))
    check(late < 21000, f"it took {late} us to wake the second vCPU of a VM")


def case_vms_large_restart(t):
    """On one CPU, a VM of 256 MiB starts anew again and again: its neighbours keep their clock, and wait no longer than for a slice."""
    config = vm("clock", "clock 2") + vm("spin", "share 3") + vm("large", "reset", memory="256M")
    console = start(t, config, cpus=1)
    for name in ("clock", "spin"):
        console.expect(rf"VM {name} ended: powered off", 120)
    text = end(t, console)
    check(len(re.findall(r"^PASS |\] PASS ", text, re.M)) >= 5, "the clock's checks are missing")
    check_says(text, r"VM large: reset: restart 2 ")
    away = int(re.search(r"AWAY (\d+)", text).group(1))
    check(away < 10000, f"a neighbour stood still for {away / 1000:.1f} ms")


def case_vms_idle(t):
    """30 idle VMs on one CPU: asleep, they take nothing; with 250 ticks a second each, what these cost."""
    text = run(t, "".join(vm(f"v{i}", "sleep 5") for i in range(30)), cpus=1)
    times = received(text)
    share = sum(ran for ran, _ in times.values()) / max(life for _, life in times.values())
    check(len(times) == 30 and share < 0.01, f"{len(times)} sleeping VMs take {share:.2%} of a CPU")


HOSTILE = ("ports", "storm", "ept", "flush", "spin")


def case_vms_isolation(t):
    """Beside guests that crash, reset, spin, hammer and storm, one keeps its clock and one its share."""
    config = (vm("clock", "clock 4") + vm("share", "share 4", weight=512) + "".join(vm(what, f"{what} 4") for what in HOSTILE)
              + vm("crash", "triple-fault", on_crash="restart") + vm("reset", "reset"))
    console = start(t, config)
    console.expect(r"VM clock ended: powered off", 300)
    console.expect(r"VM storm ended: powered off", 300)
    text = end(t, console)
    check(len(re.findall(r"^PASS |\] PASS ", text, re.M)) >= 5, "the clock's checks are missing")
    ran, life = received(text)["share"]
    # The clock sleeps; what crashes pays for its restarts.
    weights = 512 + 256 * (len(HOSTILE) + 2)
    check(ran / life / 2 > 512 / weights - 0.02, f"a share of {ran / life / 2:.2%} instead of {512 / weights:.2%} of the machine")


def case_vms_soak(t):
    """Eight VMs of different kinds on two CPUs, with weights, caps and pins: starts, ends and restarts among load."""
    config = (vm("clock", "clock 6") + vm("crash", "triple-fault", on_crash="restart", pin=1) + vm("reset", "reset", cpus=4)
              + vm("half", "share 6", cap=50) + vm("storm", "storm 6", weight=64) + vm("ports", "ports 6", pin="0-1", cpus=2)
              + vm("tick", "tick 6", memory="64M") + vm("short", "flush 1", on_poweroff="restart"))
    console = start(t, config)
    for name in ("half", "storm"):
        console.expect(rf"VM {name} ended: powered off", 300)
    text = end(t, console)
    check(len(re.findall(r"^PASS |\] PASS ", text, re.M)) >= 5, "the clock's checks are missing")
    check_says(text, r"VM short: powered off: restart 2 ", r"VM reset: reset: restart 16 ", r"VM crash: triple fault: restart 16 ")
    ran, life = received(text)["half"]
    check(ran / life < 0.52, f"a cap of 50% of a CPU let it run {ran / life:.0%}")
