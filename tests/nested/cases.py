"""The cases of tests/nested/run: what is booted, with which CPU, and what must come of it."""
import base64
import dataclasses
import gzip
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/system"))
from picture import Picture, corbel_font, wrapped  # noqa: E402


SETTLE = "\x18\x1b[m\x1b(B\x0f"  # what Corbel sends before it speaks, if a guest may have left the terminal in disorder


class Machine:
    """What one machine said on its serial port."""

    def __init__(self, text, ended, bare):
        self.text = text.replace(SETTLE, "")
        self.bare = {"", *bare}  # what failed without Corbel
        self.ended = ended  # QEMU has gone

    def end(self):
        """The word of Corbel's last line, or ''."""
        found = re.findall(r"^corbel: end: (.*)$", self.text, re.M)
        return found[-1].strip() if found else ""

    def features(self, title):
        """The words of that paragraph of the capability screen."""
        found = re.search(rf"^ +{title}:((?: [\w]+)*(?:\n {{5}}(?! *[\w ]+:)(?! *pin )[\w ]+)*)$", self.text, re.M)
        return set(found.group(1).split()) if found else set()


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A Multiboot kernel that QEMU loads itself: no Corbel is between it and the machine below."""
    path: pathlib.Path

    def make(self, _build):
        return self.path

    def drive(self, where):
        return f"-kernel {where}"


@dataclasses.dataclass(frozen=True)
class Iso:
    """What tools/mkiso is asked for: a bare image runs the built-in self-test. `autorun` is what a Linux guest runs."""
    name: str
    config: str = ""
    files: tuple = ()
    autorun: str = ""
    arguments: str = ""  # Corbel's own
    initrd: str = "build/guest/initrd.gz"

    def options(self, build):
        words = ["-a", f"loglevel=debug {self.arguments}"]
        if self.config:
            path = build / f"{self.name}.conf"
            path.write_text(self.config)
            words += ["-c", path]
        if self.autorun:
            path = build / f"{self.name}.gz"
            path.write_bytes((ROOT / self.initrd).read_bytes() + self.archive(build))
            words.append(f"initrd.gz={path}")
        return [*words, *self.files]

    def archive(self, build):
        """`autorun` alone: Linux unpacks one archive behind the other."""
        place = build / f"{self.name}.autorun"
        place.mkdir(exist_ok=True)
        shutil.copy(ROOT / self.autorun, place / "autorun")
        return gzip.compress(subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"autorun\n", cwd=place, check=True,
                                            stdout=subprocess.PIPE).stdout)

    def make(self, build):
        iso = build / "inner" / f"{self.name}.iso"
        subprocess.run([ROOT / "tools/mkiso", "-o", iso, *self.options(build)], check=True, stdin=subprocess.DEVNULL)
        return iso

    def drive(self, where):
        return f"-drive file={where},format=raw,if=virtio,readonly=on"


SELFTEST = Iso("selftest")
SELFTEST_FAILED = 8  # its code on the debug-exit port
LINUX = Iso("linux", "[vm linux]\nmemory = 96M\nkernel = vmlinuz\ninitrd = initrd.gz\ncmdline = console=ttyS0 quiet\n",
            (f"vmlinuz={ROOT / 'build/guest/vmlinuz-cloud'}",), "tests/nested/autorun")
DISKS = Iso("disks", LINUX.config + "disk = ram:8M\ndisk = ram:8M\n", LINUX.files, "tests/nested/autorun-disks")
# Under interrupts that are off, one vCPU waits for the other, by PAUSE: without its exits this chain hangs (docs/silicon.md).
SMP = Iso("smp", LINUX.config + "cpus = 2\ntrap = pause\n", LINUX.files, LINUX.autorun)
NETWORK = Iso("network", "[switch lan]\n" + "".join(
    f"[vm {name}]\nmemory = 96M\nkernel = vmlinuz\ninitrd = initrd.gz\nnet = lan\ncmdline = console=ttyS0 quiet {more}\n"
    for name, more in (("server", "ip=10.0.0.1/24 serve=1"), ("client", "ip=10.0.0.2/24"))),
    LINUX.files, "tests/nested/autorun-network", initrd="build/system/initrd-network.gz")
OVMF = Iso("ovmf", "[vm efi]\nmemory = 128M\nfirmware = ovmf\n")
PINNED = Iso("pinned", "[vm pinned]\ncpus = 2\nmemory = 32M\ntestdev = on\npin = 1,2\n")
BROKEN = Iso("broken", LINUX.config + "[vm hurt]\nmemory = 16M\nkernel = broken.elf\n",
             (*LINUX.files, ROOT / "build/guests/broken.elf"), LINUX.autorun)
COSTS = Iso("costs", "[vm costs]\nmemory = 64M\nkernel = costs.elf\n", (ROOT / "build/guests/costs.elf",))


@dataclasses.dataclass(frozen=True)
class Known:
    """A check of the self-test that fails here for a reason below Corbel: accepted, and named with its reason.

    `bare`: what must have failed without Corbel too, on the same machine in the same boot.
    """
    check: str
    reason: str
    bare: str = ""


KNOWN = (
    Known("with CR4.UMIP: SGDT, STR and SMSW are #GP",
          "this CPU has no UMIP, and KVM, which emulates it, does not for SMSW", bare="umip_smsw"),
    # Shown: its VM entry sets the mask when the interruptibility state says so, and never clears it; with that one test made
    # to do both, and nothing else changed, the check passes. So it does with kvm_intel vnmi=0 (tests/nested/run -p vnmi=0),
    # where KVM and Corbel do not both use virtual NMIs on one CPU.
    Known("x2APIC: an NMI comes with IF clear",
          "Bochs leaves virtual NMIs blocked on a VM entry whose state says that they are not"),
)
NO_VIRTUAL_NMIS = tuple(
    Known(check, "without virtual NMIs the end of an NMI's handler shows by the next interrupt window alone")
    for check in ("an NMI waits for the IRET of the one before", "x2APIC: they come by priority, each once"))


@dataclasses.dataclass
class Case:
    """`without`: words of the capability screen that must not be in use; `says`: expressions that must be found."""
    name: str
    title: str
    image: Iso | Kernel = SELFTEST
    cpu: str = "host"
    more: str = ""
    end: str = "poweroff"
    without: tuple = ()
    says: tuple = (r"self-test: [1-9]\d* passed",)
    never: tuple = (r"^corbel: panic", r"a CPU of silicon would refuse", r"^\[\w+\] FAIL")
    known: tuple = KNOWN
    steps: str = ""  # a script in this folder: what is done meanwhile
    picture: bool = False  # the screen shows the last that was printed
    limit: int = 600  # seconds of which two idle CPUs need a third

    def excuses(self, machine):
        """The failed checks that are known here, with their reasons."""
        failed = re.findall(r"^FAIL (.*)$", machine.text, re.M)
        return [known for known in self.known if known.check in failed and known.bare in machine.bare]

    def judge(self, machine):
        """'', or why the case failed."""
        refused = re.search(r"^KVM refused an entry: .*", machine.text, re.M)
        if refused:
            return refused.group(0)
        if not machine.ended:
            return "no end"
        failed = re.findall(r"^FAIL (.*)$", machine.text, re.M)
        excused = [known.check for known in self.excuses(machine)]
        if wrong := [line for line in failed if line not in excused]:
            return f"it says 'FAIL {wrong[0]}'"
        end = f"debug-exit {SELFTEST_FAILED}" if failed else self.end
        if machine.end() != end:
            return f"Corbel's end is '{machine.end()}' and should be '{end}'"
        for pattern in self.never:
            if found := re.search(pattern, machine.text, re.M):
                return f"it says '{found.group(0)}'"
        for pattern in self.says:
            if not re.search(pattern, machine.text, re.M):
                return f"it does not say '{pattern}'"
        if wrong := machine.features("in use") & set(self.without):
            return f"in use, and this CPU does not have it: {', '.join(sorted(wrong))}"
        if unseen := set(self.without) - machine.features("not here"):
            return f"the capability screen does not miss {', '.join(sorted(unseen))}"
        return self.judge_picture(machine) if self.picture else ""

    def judge_picture(self, machine):
        """'', or where the picture, which is kept, differs from the end of what was printed."""
        found = re.search(r"^=== picture\n(.*)^=== end of picture$", machine.text, re.M | re.S)
        path = ROOT / "build/nested" / f"{self.name}.ppm"
        path.write_bytes(gzip.decompress(base64.b64decode(found.group(1))))
        picture = Picture(path)
        seen = picture.text(corbel_font())
        printed = machine.text[machine.text.index("Corbel, a hypervisor"):found.start()]
        wanted = wrapped(printed.rstrip(), picture.width // 8)[-len(seen):]
        for line, other in zip(seen, wanted):
            if line != other:
                return f"the screen shows '{line}' where '{other}' was printed"
        return "" if len(seen) > 20 else f"{len(seen)} lines on the screen"


# Two hot-plugged CPUs: the first id that xAPIC takes for a broadcast, and one beyond a byte. The board wants an IOMMU for
# them, which Corbel leaves alone.
BIG_IDS = ("-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,eim=on"
           " -smp 1,sockets=288,cores=1,threads=1,maxcpus=288"
           + "".join(f" -device host-x86_64-cpu,socket-id={apic_id},core-id=0,thread-id=0" for apic_id in (255, 280)))


def lacking(name, title, cpu, *without):
    """The self-test on a CPU that lacks something."""
    return Case(name, title, cpu=f"host,{cpu}", without=without,
                known=KNOWN + NO_VIRTUAL_NMIS if "vnmi" in without else KNOWN)


CASES = (
    Case("bare", "what the machine below does without Corbel", image=Kernel(ROOT / "build/guests/bare.elf"), end="",
         says=(r"^bare x2apic_nmi_next (good|bad)$",)),
    Case("selftest", "the self-test with all that the CPU has",
         says=(r"self-test: [1-9]\d* passed", r"nested: another hypervisor is below us")),
    lacking("no-vpid", "every VM entry and exit flushes the TLB", "-vmx-vpid", "vpid", "invvpid_single"),
    lacking("no-timer", "slices end by the local APIC's timer", "-vmx-preemption-timer", "preemption_timer"),
    lacking("no-vid", "no virtual-interrupt delivery", "-vmx-apicv-vid", "vid"),
    lacking("no-ept-ad", "no accessed and dirty flags in EPT entries", "-vmx-eptad", "ept_ad"),
    lacking("no-pml", "no page-modification logging", "-vmx-pml", "pml"),
    lacking("no-1g", "no EPT pages of 1G", "-vmx-ept-1gb", "1g"),
    lacking("barest", "only what Corbel requires",
            "-vmx-vpid,-vmx-preemption-timer,-vmx-apicv-vid,-vmx-apicv-register,-vmx-apicv-x2apic,-vmx-eptad,-vmx-pml,-vmx-ept-1gb,"
            "-vmx-vnmi,-vmx-flexpriority,-vmx-invept-single-context,-vmx-invpcid-exit,-vmx-rdtscp-exit,-vmx-wbinvd-exit,"
            "-vmx-exit-save-pat,-vmx-exit-save-preemption-timer",
            "preemption_timer", "vnmi", "vpid", "invvpid_single", "invept_single", "ept_ad", "pml", "1g",
            "tpr_shadow", "rdtscp", "invpcid", "wbinvd"),
    Case("no-unrestricted", "a CPU without unrestricted guest is refused", cpu="host,-vmx-unrestricted-guest", end="refused",
         says=(r"unrestricted guest.*QEMU: -cpu host", r"Corbel cannot run here: 1 of \d+ requirements is missing")),
    Case("two-cpus", "the self-test on two CPUs of a q35 board", more="-smp 2 -machine q35",
         says=(r"self-test: [1-9]\d* passed", r"VMX: 2 CPUs")),
    Case("apic-ids", "CPUs whose APIC ids need x2APIC", image=PINNED, more=BIG_IDS,
         says=(r"self-test: [1-9]\d* passed", r"VMX: 3 CPUs")),
    Case("linux", "a Linux guest", image=LINUX,
         says=(r"autorun: 40 processes, 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58, from [\d.]+ to",)),
    Case("disks", "a Linux guest's virtio disks, written to and read at once", image=DISKS,
         says=(r"autorun: vda is read", r"autorun: vdb is read", r"autorun: disks done")),
    Case("network", "two Linux guests on a switch, bytes both ways and datagrams", image=NETWORK, more="-m 288", limit=1200,
         says=(r"\[client\] autorun: down ok", r"\[client\] autorun: up ok", r"\[client\] autorun: udp ok",
               r"VM server ended: powered off", r"VM client ended: powered off")),
    Case("ovmf", "a guest that begins with OVMF, to its shell and off", image=OVMF, more="-m 256", steps="leave-shell", limit=1500,
         says=(r"UEFI Interactive Shell", r"Shell>", r"VM efi ended: powered off")),
    Case("smp", "a Linux guest of two vCPUs on one CPU", image=SMP, says=(r"autorun: 2 CPUs", r"autorun: 40 processes")),
    Case("costs", "what round trips cost, in instructions", image=COSTS,
         says=(r"^cost cpuid \d+", r"^interrupts taken: [1-9]\d*")),
    Case("machine-check", "memory errors: a corrected one, and two in a guest, beside Linux", image=BROKEN, steps="machine-check",
         limit=1200,
         says=(r"bank 9: memory controller error, corrected, address 0x12345000, 1 by now",
               r"turns: hurt at (0x[0-9a-f]+)(?s:.*)told: global 7 status bd80000000000134 address \1 misc 8c, in the loop: yes",
               r"goes on", r"VM hurt ended: machine check", r"autorun: 40 processes, 30e14955ebf1352266dc2ff8067e68104607e750")),
    Case("uefi", "the self-test, booted by OVMF, to the framebuffer", image=Iso("uefi", arguments="end=halt"),
         more="-bios OVMF.fd -device VGA,romfile=", steps="photograph", picture=True, limit=1500,
         says=(r"self-test: [1-9]\d* passed", r"halted, so that this stays on the screen")),
)
