"""The cases of tests/nested/run: what is booted, with which CPU, and what must come of it."""
import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Machine:
    """What one machine said on its serial port."""

    def __init__(self, text, ended):
        self.text = text
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
class Iso:
    """What tools/mkiso is asked for: a bare image runs the built-in self-test. `autorun` is what a Linux guest runs."""
    name: str
    config: str = ""
    files: tuple = ()
    autorun: str = ""

    def options(self, build):
        words = []
        if self.config:
            path = build / f"{self.name}.conf"
            path.write_text(self.config)
            words += ["-c", path]
        if self.autorun:
            path = build / f"{self.name}.gz"
            subprocess.run([ROOT / "tools/mkinitramfs", path, ROOT / "build/guest/busybox", f"{ROOT / self.autorun}=autorun"],
                           check=True, stdin=subprocess.DEVNULL)
            words.append(f"initrd.gz={path}")
        return [*words, *self.files]


SELFTEST = Iso("selftest")
SELFTEST_FAILED = 8  # its code on the debug-exit port
LINUX = Iso("linux", "[vm linux]\nmemory = 96M\nkernel = vmlinuz\ninitrd = initrd.gz\ncmdline = console=ttyS0 quiet\n",
            (f"vmlinuz={ROOT / 'build/guest/vmlinuz-cloud'}",), "tests/nested/autorun")
COSTS = Iso("costs", "[vm costs]\nmemory = 64M\nkernel = costs.elf\n", (ROOT / "build/guests/costs.elf",))


# What the machine below gets wrong: Bochs' CPU has no UMIP, and KVM, which emulates it, cannot for SMSW; Bochs does not
# unblock virtual NMIs on a VM entry that says so, and KVM runs Corbel between two of its guest's.
KNOWN = ("with CR4.UMIP: SGDT, STR and SMSW are #GP", "x2APIC: an NMI comes with IF clear")


@dataclasses.dataclass
class Case:
    """`without`: words of the capability screen that must not be in use; `says`: expressions that must be found."""
    name: str
    title: str
    iso: Iso = SELFTEST
    cpu: str = "host"
    more: str = ""
    end: str = "poweroff"
    without: tuple = ()
    says: tuple = (r"self-test: [1-9]\d* passed",)
    never: tuple = (r"^corbel: panic", r"a CPU of silicon would refuse")

    def judge(self, machine):
        """'', or why the case failed."""
        refused = re.search(r"^KVM refused an entry: .*", machine.text, re.M)
        if refused:
            return refused.group(0)
        if not machine.ended:
            return "no end"
        failed = re.findall(r"^FAIL (.*)$", machine.text, re.M)
        if wrong := [line for line in failed if line not in KNOWN]:
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
        return ""


def lacking(name, title, cpu, *without):
    """The self-test on a CPU that lacks something."""
    return Case(name, title, cpu=f"host,{cpu}", without=without)


CASES = (
    Case("selftest", "the self-test with all that the CPU has",
         says=(r"self-test: [1-9]\d* passed", r"nested: another hypervisor is below us")),
    lacking("no-vpid", "every VM entry and exit flushes the TLB", "-vmx-vpid", "vpid", "invvpid_single", "invvpid_address"),
    lacking("no-timer", "slices end by the local APIC's timer", "-vmx-preemption-timer", "preemption_timer"),
    lacking("no-vid", "no virtual-interrupt delivery", "-vmx-apicv-vid", "vid"),
    lacking("no-ept-ad", "no accessed and dirty flags in EPT entries", "-vmx-eptad", "ept_ad"),
    lacking("no-1g", "no EPT pages of 1G", "-vmx-ept-1gb", "1g"),
    lacking("barest", "only what Corbel requires",
            "-vmx-vpid,-vmx-preemption-timer,-vmx-apicv-vid,-vmx-apicv-register,-vmx-apicv-x2apic,-vmx-eptad,-vmx-ept-1gb,"
            "-vmx-vnmi,-vmx-flexpriority,-vmx-invept-single-context,-vmx-invpcid-exit,-vmx-rdtscp-exit,-vmx-wbinvd-exit",
            "preemption_timer", "vnmi", "vpid", "invvpid_address", "invvpid_single", "invept_single", "ept_ad", "1g",
            "tpr_shadow", "rdtscp", "invpcid", "wbinvd"),
    Case("no-unrestricted", "a CPU without unrestricted guest is refused", cpu="host,-vmx-unrestricted-guest", end="refused",
         says=(r"unrestricted guest.*start QEMU with -cpu host", r"Corbel cannot run here: 1 of \d+ requirements are missing")),
    Case("two-cpus", "the self-test on two CPUs", more="-smp 2",
         says=(r"self-test: [1-9]\d* passed", r"VMX: 2 CPUs")),
    Case("linux", "a Linux guest", iso=LINUX,
         says=(r"autorun: 40 processes, 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58, from [\d.]+ to",)),
    Case("costs", "what round trips cost, in instructions", iso=COSTS,
         says=(r"^cost cpuid \d+", r"^interrupts taken: [1-9]\d*")),
)
