"""Many VMs on one machine: their lives, their ends, what they leave to each other. The guest is tests/system/neighbour.c."""
import re

from harness import BUILD, SKYLAKE, check, check_says, plain

GUEST = BUILD / "guests" / "neighbour.elf"
RAN = re.compile(r"^\[(\S+)\] vCPU 0: ran ([\d.]+) of ([\d.]+) ms", re.M)


def vm(name, what, **settings):
    """A section of vms.conf: a small VM that does `what` (see neighbour.c)."""
    settings = {"memory": "2M", "kernel": GUEST.name, **settings}
    return "\n".join([f"[vm {name}]", f"cmdline = {what}", *(f"{key} = {value}" for key, value in settings.items()), "\n"])


def received(text):
    """Of each VM that has ended: its name, the milliseconds that it ran, and those that it lived."""
    return {name: (float(ran), float(life)) for name, ran, life in RAN.findall(text)}


def check_frames(text):
    """Nothing is lost: as many frames are free when the last VM is gone as before the first."""
    found = re.search(r"(\d+) frames free, (\d+) before the first VM", text)
    check(found, "no count of free frames at the end")
    check(found.group(1) == found.group(2), f"{found.group(1)} frames are free at the end, {found.group(2)} were before")


def start(t, config, arguments="", **machine):
    return t.boot(t.iso(GUEST, config=config, arguments=arguments), cpu=SKYLAKE, **{"cpus": 2, "limit": 400, **machine})


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
    text = plain(t.seen())
    check("panic" not in text.lower(), "panic")
    check("FAIL" not in text, "a guest says FAIL")
    check_frames(text)
    return text


def case_vms_restart(t):
    """A guest that resets itself, a thousand times over: no frame is lost, no line is printed for each."""
    console = start(t, vm("again", "reset"))
    console.expect(r"restart 1024\r?\n", 300)
    text = end(t, console)
    lines = re.findall(r"VM again: reset: restart \d+\ncorbel: (\d+) frames free", text)
    check(11 <= len(lines) <= 13, f"{len(lines)} lines about restarts")
    check(len(set(lines)) == 1, f"the number of free frames changed: {lines}")


def case_vms_actions(t):
    """on_poweroff, on_reboot and on_crash: each of their values."""
    ends = {"on_poweroff": ("power-off", "powered off"), "on_reboot": ("reset", "reset"), "on_crash": ("lost", "no memory there")}
    config = "".join(vm(f"{key}-{action}", what, **{key: action})
                     for key, (what, _) in ends.items() for action in ("preserve", "destroy", "restart"))
    console = start(t, config)
    console.expect(r"VM on_crash-restart: .*: restart 4\r?\n", 120)
    text = end(t, console)
    for key, (_, words) in ends.items():
        for action in ("preserve", "destroy"):
            check_says(text, rf"VM {key}-{action} ended: {words}")
            check(f"VM {key}-{action}: " not in text, f"{key} = {action} started the VM again")
        check_says(text, rf"VM {key}-restart: {words}: restart 2\n", rf"VM {key}-restart ended: ")


def case_vms_preserve(t):
    """A VM that ended and is preserved keeps its memory and the machine up, for the operator to look at; killed, it is gone."""
    console = start(t, vm("kept", "triple-fault", on_reboot="preserve"), cpus=1)
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


def case_vms_forge(t):
    """A guest that prints Corbel's words and another VM's: its lines keep its name, and it does not end the run."""
    config = vm("forge", "forge 8")
    text = t.batch(t.iso(GUEST, config=config, quiet=True), 0, cpu=SKYLAKE, limit=400)
    check_says(text, r"\nCorbel, a hypervisor for Intel VMX\ncorbel: ready: 1 VM on 1 CPU; Ctrl-A h helps\n", r"corbel: end: report\n(.*\n)*corbel: VM forge ended: powered off\n")
    check(len(re.findall(r"^corbel: ", text, re.M)) == 4, "details are told")
    t.batch(t.iso(GUEST, config=config + vm("good", "spin 8")), 0, cpu=SKYLAKE, limit=400)
    raw = t.seen().replace("\r\n", "\n").split("ready: 2 VMs")[1]
    check("\r" not in raw and "\x1b" not in raw, "control characters reached the terminal")
    check("\n[forge] hidden^M^[[2Kcorbel: VM good ended: killed\n[forge] \\x9b2K^M[good] FAIL\n[forge] corbel: end: report\n" in raw, "the forger's lines")


def case_vms_bad_input(t):
    """Each VM that cannot be has its line; those that can be run, and two of them share a module."""
    config = (vm("first", "share 1") + vm("first", "spin 1") + vm("large", "spin 1", memory="4G") + vm("nowhere", "spin 1", pin=7)
              + vm("lost", "spin 1", kernel="absent.elf") + vm("none", "spin 1", cpus=0) + vm("last", "spin 1"))
    text = run(t, config)
    check_says(text, r'vms\.conf:\d+: a VM "first" is on line 1 already', r"vms\.conf:\d+: VM large: memory = 4096M does not fit",
               r"vms\.conf:\d+: VM lost: kernel: no boot module has the name absent\.elf", r"vms\.conf:\d+: VM none: cpus = 0",
               r"vms\.conf:\d+: VM nowhere: pin = 7: there is no such CPU", r"corbel: ready: 3 VMs on 2 CPUs")
    check(set(received(text)) == {"first", "nowhere", "last"}, f"ran: {sorted(received(text))}")


def case_vms_no_room(t):
    """VMs with 64 vCPUs each until memory is full: the ones that fit run, each other has its line, no frame is lost."""
    text = run(t, "".join(vm(f"v{i}", "spin 1", cpus=64) for i in range(24)), memory=64)
    refused = re.findall(r"corbel: vms\.conf:\d+: VM v\d+: .*(?:no memory for|does not fit).*", text)
    check(refused and len(received(text)) == 24 - len(refused) > 2, f"{len(refused)} refused, {len(received(text))} ran")


def case_vms_64(t):
    """64 VMs run; the 65th has its line."""
    text = run(t, "".join(vm(f"v{i}", "tick 1") for i in range(65)))
    check_says(text, r"vms\.conf:\d+: .*64", r"corbel: ready: 64 VMs")
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


def case_vms_domains(t):
    """Ten CPUs are two scheduling domains, of eight and of two: VMs have their shares of all ten."""
    weights = {f"v{i}": 256 if i % 5 else 512 for i in range(20)}
    text = run(t, "".join(vm(name, "share 1", weight=weight) for name, weight in weights.items()), cpus=10)
    shares = {name: int(share) / 10000 for name, share in re.findall(r"\[(\S+)\] SHARE (\d+)", text)}
    check(len(shares) >= len(weights) - 1, f"only {sorted(shares)} have measured")
    for name, share in shares.items():
        due = 10 * weights[name] / sum(weights.values())
        check(abs(share - due) < 0.03, f"{name} of weight {weights[name]} got {share:.1%} of a CPU instead of {due:.1%}")


def case_vms_wake(t):
    """A vCPU that an interrupt wakes runs at once on an idle CPU; on busy ones within a slice of 3 ms."""
    for others, limit in ((0, 300), (4, 3300)):
        text = run(t, vm("wakes", "wake 2", cpus=2) + "".join(vm(f"busy{i}", "spin 2") for i in range(others)))
        late = int(re.search(r"LATE (\d+)", text).group(1))
        check(late <= limit, f"beside {others} that spin it took {late} us")


# VMs, by what they do with their two vCPUs; the CPUs of these; and what is due to a neighbour that is pinned to CPU 1, in percent of it. Where
# but one vCPU of a VM is on CPU 1 that is most of it: that one sleeps, or does little when it is woken.
GREEDY = ((("yields", "pauses", "naps"), 1, 25), (("ipis", "inits"), "0-1", 98), (("kicks",), "0-1", 66))


def case_vms_greedy(t):
    """Yields, naps of a microsecond, IPIs to a vCPU that nothing wakes and kicks take nothing from a neighbour, which is never away for long."""
    told = []
    for names, pin, due in GREEDY:
        text = run(t, "".join(vm(name, f"{name} 1", cpus=2, pin=pin) for name in names) + vm("victim", "deaf 1", pin=1), cpus=2)
        share, away = (int(re.search(rf"{word} (\d+)", text).group(1)) for word in ("SHARE", "AWAY"))
        told.append(f"beside {' and '.join(names)} {share / 100:.1f}% of {due}%, away for {away / 1000:.1f} ms at most")
        check(share > (due - 3) * 100 and away < 10000 * len(names), told[-1])
    return "; ".join(told)


def case_vms_flood(t):
    """A VM that keeps its disk's queues full, and one whose rings are of every illegal kind, take no more than their share from a neighbour."""
    told = []
    for name, settings in (("flood", {"cpus": 2}), ("rings", {})):
        text = run(t, vm(name, f"{name} 3", memory="8M", disk="ram:1M", pin=1, **settings) + vm("victim", "deaf 2", pin=1), cpus=2)
        share, away = (int(re.search(rf"{word} (\d+)", text).group(1)) for word in ("SHARE", "AWAY"))
        told.append(f"beside {name} {share / 100:.1f}% of 50%, away for {away / 1000:.1f} ms at most")
        if name == "flood":
            done = int(re.search(r"FLOODED (\d+)", text).group(1))
            told[-1] += f"; {done} requests of 64 KiB were served"
            check(done > 1000, told[-1])
        check(share > 4700 and away < 11000, told[-1])
    return "; ".join(told)


def case_vms_size(t):
    """A VM of four vCPUs has no more of two CPUs than one of one vCPU with the same weight, and no more than its cap."""
    text = run(t, vm("four", "crowd 2", cpus=4) + vm("one", "share 2") + vm("two", "share 2"), cpus=2)
    shares = [int(share) / 10000 for share in re.findall(r"SHARE (\d+)", text)]
    check(len(shares) == 2 and all(abs(share - 2 / 3) < 0.02 for share in shares), f"shares of a CPU beside a VM of four vCPUs: {shares}")
    times = re.findall(r"vCPU \d: ran ([\d.]+) of ([\d.]+) ms", run(t, vm("four", "crowd 2", cpus=4, cap=50), cpus=2))
    ran, life = sum(float(ran) for ran, _ in times), float(times[0][1])
    check(0.45 < ran / life < 0.55, f"a cap of 50% of a CPU let four vCPUs run {ran / life:.0%}")
    return f"{shares[0]:.1%} and {shares[1]:.1%} of 66.7%; {ran / life:.1%} of 50%"


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
    """On one CPU, a VM of 128 MiB in pages of 4K starts anew again and again: its neighbours keep their clock, and wait no longer
    than for a slice."""
    config = vm("clock", "clock 2") + vm("spin", "share 3") + vm("large", "reset", memory="128M")
    console = start(t, config, arguments="mitigations=force", cpus=1)
    for name in ("clock", "spin"):
        console.expect(rf"VM {name} ended: powered off", 120)
    text = end(t, console)
    check(len(re.findall(r"^PASS |\] PASS ", text, re.M)) >= 5, "the clock's checks are missing")
    check_says(text, r"VM large: reset: restart 2\n")
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
              + vm("crash", "triple-fault") + vm("reset", "reset"))
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
    config = (vm("clock", "clock 6") + vm("crash", "triple-fault", pin=1) + vm("reset", "reset", cpus=4)
              + vm("half", "share 6", cap=50) + vm("storm", "storm 6", weight=64) + vm("ports", "ports 6", pin="0-1", cpus=2)
              + vm("tick", "tick 6", memory="64M") + vm("short", "flush 1", on_poweroff="restart"))
    console = start(t, config)
    for name in ("half", "storm"):
        console.expect(rf"VM {name} ended: powered off", 300)
    text = end(t, console)
    check(len(re.findall(r"^PASS |\] PASS ", text, re.M)) >= 5, "the clock's checks are missing")
    check_says(text, r"VM short: powered off: restart 2\n", r"VM reset: reset: restart 16\n", r"VM crash: triple fault: restart 16\n")
    ran, life = received(text)["half"]
    check(ran / life < 0.52, f"a cap of 50% of a CPU let it run {ran / life:.0%}")
