"""Linux guests on Corbel's switches."""
import re
import subprocess

import cases_vms
from harness import BUILD, KERNEL, SKYLAKE, check, check_says

INITRD = BUILD / "system" / "initrd-network.gz"  # with tests/system/network.c and network-init
SERVER, CLIENT = "10.0.0.1", "10.0.0.2"


def vm(name, ip, *cards, cmdline="", **settings):
    """A section of vms.conf with network cards."""
    settings = {"memory": "96M", "kernel": "vmlinuz", "initrd": INITRD.name,
                "cmdline": f"console=ttyS0 ip={ip} {cmdline}", **settings}
    return "\n".join([f"[vm {name}]", *(f"{key} = {value}" for key, value in settings.items()), *(f"net = {card}" for card in cards), "\n"])


def server(*cards, name="server", ip=SERVER, **settings):
    return vm(name, f"{ip}/24", *cards, cmdline="quiet serve=1", **settings)


class Desk:
    """The console of the first VM, and the monitor."""

    def __init__(self, t, config, **machine):
        self.t = t
        self.visits = 0
        self.console = t.boot(t.iso(f"vmlinuz={KERNEL}", INITRD, config=config), cpu=SKYLAKE,
                              **{"cpus": 2, "memory": 768, "limit": 1200, **machine})
        self.console.expect("corbel: ready", 120)
        self.console.type("\x011")
        self.console.expect("Welcome to Linux", 400)
        self.console.expect("guest# ", 60)

    def run(self, command, limit=60):
        return self.console.run(command, limit)

    def ok(self, command, limit=60):
        said = self.run(command, limit)
        check(said.splitlines()[-1:] == ["ok"], f"{command}: {said}")

    def pings(self, host, more="", count=3):
        """How many of them are answered."""
        said = self.run(f"ping -A -c {count} -W 2 {more} {host}", 60)
        found = re.search(r"(\d+) packets received", said)
        check(found, f"ping: {said}")
        return int(found.group(1))

    def monitor(self, *commands):
        """What the monitor answers to these; then the guest's console is there again."""
        self.console.type("\x01c")
        self.console.expect(r"\(corbel\) ", 60)
        said = []
        for command in commands:
            self.console.type(command + "\r")
            self.console.expect(r"\n", 60)
            said.append(self.console.expect(r"\(corbel\) ", 120))
        self.console.type("console client\r")
        self.console.expect("console client", 60)
        self.visits += 1  # the console shows its last lines again, with prompts
        self.console.type(f"echo back-$((100 + {self.visits}))\r")
        self.console.expect(f"back-{100 + self.visits}\r?\n", 60)
        self.console.expect("guest# ", 60)
        return said

    def wait_for(self, host, tries=60):
        """Until it answers."""
        said = self.run(f"for i in $(seq {tries}); do ping -c 1 -W 1 {host} >/dev/null && break; done; echo tried $i", 300)
        check(not said.endswith(f"tried {tries}"), f"{host} does not answer")

    def end(self):
        self.console.type("\x01x")
        self.console.ends(0)
        check("panic" not in self.t.seen().lower(), "panic")


def case_network_linux(t):
    """Two Linux guests: TCP both ways, UDP, a link that goes down, what the monitor says, a capture that tcpdump reads."""
    config = "[switch lan]\n" + vm("client", f"{CLIENT}/24", "lan") + server("lan,mac=52:54:00:00:00:01")
    desk = Desk(t, config)
    desk.wait_for(SERVER)
    desk.ok(f"network down {SERVER} 16", 400)
    desk.ok(f"network up {SERVER} 16", 400)
    desk.ok(f"network udp {SERVER} 200 1400", 60)
    desk.ok(f"network udp {SERVER} 20 60000", 60)
    network, *_ = desk.monitor("info network")
    check_says(network, r"switch lan: 2 ports, mtu 1500", r"client\.net0: switch=lan,macaddr=52:54:00:[0-9a-f:]{8},link=on",
               r"server\.net0: switch=lan,macaddr=52:54:00:00:00:01,link=on")
    sent = re.search(r"client\.net0.*?sent (\d+) frames, (\d+) bytes; received (\d+) frames, (\d+) bytes", network, re.S)
    check(sent and min(int(sent.group(2)), int(sent.group(4))) > 16 << 20, f"counters: {network}")
    desk.monitor("set_link server.net0 off")
    check(desk.pings(SERVER) == 0, "frames pass a link that is down")
    desk.monitor("set_link server.net0 on", "set_link client off")
    check(desk.run("cat /sys/class/net/eth0/carrier") == "0", "the driver does not see its link go down")
    desk.monitor("set_link client on", "netdump client.net0 on")
    check(desk.pings(SERVER) == 3, "no frame passes after the link came up")
    off, shown = desk.monitor("netdump client.net0 off", "netdump client.net0 show")
    console = t.file("netdump.txt", shown)
    subprocess.run([BUILD.parent / "tools/netdump", "-o", t.folder, console], check=True, stdin=subprocess.DEVNULL)
    read = subprocess.run(["tcpdump", "-nner", t.folder / "client.net0.pcap"], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    requests = re.findall(rf"52:54:00:00:00:01.*{CLIENT} > {SERVER}: ICMP echo request", read.stdout)
    replies = re.findall(rf"52:54:00:00:00:01 > .*{SERVER} > {CLIENT}: ICMP echo reply", read.stdout)
    check(len(requests) == 3 and len(replies) == 3, f"tcpdump: {read.stdout}")
    desk.end()


def long_network_ports(t):
    """Three cards each: a VLAN with its tag on one side alone; isolated ports; frames of 9,000 bytes without offloads."""
    config = ("[switch lan]\n[switch apart]\nisolated = on\n[switch wide]\nmtu = 9000\n"
              + vm("client", f"{CLIENT}/24,10.0.1.2/24,10.0.2.2/24", "lan,vlan=10", "apart", "wide,offloads=off")
              + vm("server", ",10.0.1.1/24,10.0.2.1/24", "lan,trunk=10/20", "apart,mac=52:54:00:00:00:01", "wide",
                   cmdline="quiet serve=1 vlan=10"))
    desk = Desk(t, config)
    desk.wait_for(SERVER)
    desk.ok(f"network down {SERVER} 4", 200)
    desk.ok(f"network up {SERVER} 4", 200)
    check(desk.run("ip link set eth0 mtu 1501 2>&1; cat /sys/class/net/eth0/mtu").endswith("1500"), "the card takes more than its switch")
    check(desk.pings("10.0.1.1") == 0, "isolated ports reach each other")
    desk.run("arp -s 10.0.1.1 52:54:00:00:00:01")
    check(desk.pings("10.0.1.1") == 0, "isolated ports reach each other by address")
    check(desk.run("cat /sys/class/net/eth2/mtu") == "9000", "the card's MTU is not its switch's")
    check(desk.pings("10.0.2.1", "-s 8900") == 3, "long frames are lost")
    desk.ok("network udp 10.0.2.1 20 8900")
    desk.ok("network down 10.0.2.1 4", 200)
    desk.ok("network up 10.0.2.1 4", 200)
    network, *_ = desk.monitor("info network client")
    check_says(network, r"client\.net0: .*,vlan=10", r"client\.net1: .*,isolated\n.*\n \\ dropped \d+: between isolated ports")
    desk.end()


def case_network_flood(t):
    """VMs that send to everybody as fast as they can take nothing from a neighbour on their CPU, which is never away for long."""
    config = "[switch lan]\n" + "".join(cases_vms.vm(name, "floods 1", net="lan", pin=1) for name in ("one", "two"))
    text = cases_vms.run(t, config + cases_vms.vm("victim", "deaf 1", net="lan", pin=1), cpus=2)
    share, away = (int(re.search(rf"{word} (\d+)", text).group(1)) for word in ("SHARE", "AWAY"))
    sent = [int(count) for count in re.findall(r"SENT (\d+)", text)]
    told = f"{share / 100:.1f}% of 33%, away for {away / 1000:.1f} ms at most; sent {sent}"
    check(len(sent) == 2 and min(sent) > 1000 and share > 3000 and away < 20000, told)
    return told


def case_network_lives(t):
    """A VM that starts anew all the time, at a switch that another one floods: nothing reaches what is gone, and no memory is lost."""
    console = cases_vms.start(t, "[switch lan]\n" + cases_vms.vm("again", "reset", net="lan", pin=0) + cases_vms.vm("floods", "floods 2", net="lan", pin=1))
    console.expect(r"SENT \d+", 120)
    text = cases_vms.end(t, console)
    check(int(re.search(r"SENT (\d+)", text).group(1)) > 1000, "no flood")
    check(re.search(r"VM again: reset: restart 32\n", text), "hardly a restart")
