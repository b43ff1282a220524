"""Corbel's services, as Linux guests reach them by their sockets."""
import re

from harness import BUILD, KERNEL, SKYLAKE, check, check_says, plain

CONFIG = """
[switch lan]
[vm service]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd-vsock.gz
cmdline = console=ttyS0 quiet mitigations=off
vsock   = yes
control = all:operate
net     = lan
[vm plain]
memory  = 96M
kernel  = vmlinuz
initrd  = initrd-vsock.gz
cmdline = console=ttyS0 quiet mitigations=off
vsock   = 77
control = plain:observe
"""
REFUSED = "Connection reset by peer"


def say(text, port, more="", wait=0, linger=20):
    """A shell's words: this is said to a port of Corbel's, and what comes back is shown."""
    return f"(printf '{text}'; sleep {wait}) | socat -t {linger} - VSOCK-CONNECT:2:{port}{more} 2>&1"


def long_streams_linux(t):
    """socat in a guest reads log and metrics, and types at the monitor and at a VM's console; who may not is refused."""
    iso = t.iso(f"vmlinuz={KERNEL}", BUILD / "system" / "initrd-vsock.gz", config=CONFIG)
    console = t.boot(iso, cpu=SKYLAKE, cpus=2, memory=768, limit=900)
    for number in (2, 1):
        console.type(f"\x01{number}")
        console.expect("guest# ", 400)
    said = console.run(say("info vms\\n", 1, ",bind=:1000"), 60)
    check_says(said, r"1 service +running", r"2 plain +running")
    check_says(console.run(say("x 0\\nquit\\n", 1, ",bind=:1000"), 60), "this needs the right to take", "operator")
    check_says(console.run("timeout 3 socat -u VSOCK-CONNECT:2:2 - | grep ready", 60), "corbel: ready: 2 VMs on 2 CPUs")
    said = console.run(say("GET /metrics HTTP/1.0\\r\\n\\r\\n", 3), 60)
    check_says(said, "HTTP/1.0 200 OK", r'vm_exits_total\{vm="plain",reason="CPUID"\} \d+', r"uptime_seconds \d+\.\d{9}",
               r'net_frames_total\{vm="service",card="net0",direction="sent"\} \d+', r'streams_open\{vm="service"\} 1')
    said = console.run(say("echo typed-$((40+2))\\n", 1002, ",bind=:1001", 3), 60)
    check_says(said, "Welcome to Linux", r"typed-42")
    for port, more in ((1, ""), (4, ""), (1002, ""), (1003, ",bind=:1000")):  # no root's port; nobody's; neither; no such VM's
        check_says(console.run(say("", port, more), 60), REFUSED)

    console.type("\x012")
    console.expect("guest# ", 60)
    check_says(console.run(say("", 2), 60), REFUSED)  # it may not observe all
    check_says(console.run(say("", 1001, ",bind=:1000"), 60), REFUSED)
    said = console.run(say("GET / HTTP/1.0\\n\\n", 3), 60)
    check_says(said, 'vm="plain"')
    check("service" not in said and "uptime_seconds " not in said.replace("uptime_seconds since", "").replace("uptime_seconds gauge", ""),
          f"it sees too much: {said}")
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type("info streams\r")
    console.expect(r"service: CID 3, 0 open, 5 ever, 4 refused, 0 broken", 60)
    console.expect(r"plain: CID 77, 0 open, 1 ever, 2 refused, 0 broken", 60)
    console.type("\x01x")
    console.ends(0)
    text = plain(t.seen())
    check("panic" not in text.lower(), "panic")
    free, before = re.findall(r"(\d+) frames free, (\d+) before the first VM", text)[-1]
    check(free == before, f"{free} of {before} frames came back")


SAVED = """
[vm service]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd-vsock.gz
cmdline = console=ttyS0 quiet mitigations=off
vsock   = yes
control = small:take
[vm small]
memory  = 24M
cpus    = 2
kernel  = neighbour.elf
cmdline = keep
"""


def long_streams_saved(t):
    """A guest takes another VM out by a stream, ends it, and brings it back by one: it goes on where it stood."""
    iso = t.iso(f"vmlinuz={KERNEL}", BUILD / "system" / "initrd-vsock.gz", BUILD / "guests" / "neighbour.elf", config=SAVED)
    console = t.boot(iso, cpu=SKYLAKE, cpus=2, memory=512, limit=900)
    console.type("\x011")
    console.settle(400)
    kept = r"KEPT k lost=0 ticks=on turns=on after=(\d+)"
    check_says(console.run(say("k", 1002, ",bind=:1001", 1, 1), 60), kept)
    console.run("socat -u VSOCK-CONNECT:2:4002,bind=:1002 - >/tmp/small", 300)
    check_says(console.run("head -c 8 /tmp/small; echo; wc -c </tmp/small"), "CORBELVM", r"\n\d{7}")
    said = console.run(say("k", 1002, ",bind=:1001", 1, 1), 60)
    check_says(said, kept)
    later = int(re.findall(kept, said)[-1])
    console.run(say("kill small\\n", 1, ",bind=:1000", 1, 1), 60)
    check_says(console.run(say("info vms\\n", 1, ",bind=:1000"), 60), r"2 small +ended")
    console.run("socat -u OPEN:/tmp/small VSOCK-CONNECT:2:5002,bind=:1002; sleep 2", 300)
    said = console.run(say("k", 1002, ",bind=:1001", 1, 1), 60)
    check_says(said, kept)
    check(int(re.findall(kept, said)[-1]) != later, "nobody answered")
    console.run("head -c 300000 /tmp/small >/tmp/half")
    console.run(say("kill small\\n", 1, ",bind=:1000", 1, 1), 60)
    console.run("socat -u OPEN:/tmp/half VSOCK-CONNECT:2:5002,bind=:1002; sleep 2", 300)
    check_says(console.run(say("info vms\\n", 1, ",bind=:1000"), 60), r"2 small +ended")
    console.type("\x01x")
    console.ends(0)
    text = plain(t.seen())
    check_says(text, "restore = a stream: the state ends after")
    check("panic" not in text.lower(), "panic")
    free, before = re.findall(r"(\d+) frames free, (\d+) before the first VM", text)[-1]
    check(free == before, f"{free} of {before} frames came back")
