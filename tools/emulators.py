"""The emulators that tools/run knows. Each is a child process whose first serial port is a pseudo-terminal of ours."""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import tty

OVMF = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")
BOCHS_BIOS = "/usr/share/bochs/BIOS-bochs-latest"
BOCHS_VGABIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
PR_SET_PDEATHSIG = 1
# Bochs' clock and instructions a second, for --clock. Unsynchronized, a halted CPU skips to its next event: an idle guest's clock
# runs eight times too fast. `slowdown` waits; after a time in which the host was too slow it runs 1.5 times as fast until it has
# caught up (`realtime` at full speed), so a second has no more instructions there than a host can do.
CLOCK = {"exact": ("none", 100000000), "real": ("slowdown", 50000000)}

# `sound`: with no sound card Debian's build may die in its mixer thread; the dummy has none.
BOCHSRC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0{extra}
memory: guest={memory}, host={memory}
romimage: file={bios}, options=fastboot
vgaromimage: file={vgabios}
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
{medium}
clock: sync={sync}, time0={time}
com1: enabled=1, mode=term, dev={serial}
{com2}
port_e9_hack: enabled=1
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
speaker: enabled=0
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
"""


class ToolError(Exception):
    """Said to the person in one line."""


def need(program, package):
    if not shutil.which(program):
        raise ToolError(f"{program} is not installed: apt-get install {package}")


def no_nested_kvm():
    """Why this machine's KVM cannot lend VMX to a guest; empty if it can."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is not yours to open (group kvm)"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        flags = next((line for line in cpuinfo if line.startswith("flags")), "").split()
    if "vmx" not in flags:
        return "/proc/cpuinfo shows no vmx"
    try:
        with open("/sys/module/kvm_intel/parameters/nested", encoding="ascii") as nested:
            return "" if nested.read().strip() in ("Y", "1") else "kvm_intel is loaded without nested=1"
    except OSError:
        return "kvm_intel is not loaded"


def choose_emulator():
    return "bochs" if no_nested_kvm() or not shutil.which("qemu-system-x86_64") else "qemu"


def is_terminal(path):
    return os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode)


class SerialSocket:
    """A serial port of the machine's, a pseudo-terminal, at a TCP port of this host: one client at a time. What is printed while
    there is none is lost."""

    def __init__(self, port):
        self.fd, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.client = None
        try:
            self.listener = socket.create_server(("localhost", port))
        except OSError as error:
            raise ToolError(f"no socket at localhost:{port}: {error.strerror}") from None
        for work in (self.listen, self.show):
            threading.Thread(target=work, daemon=True).start()

    def listen(self):
        while True:
            client = self.listener.accept()[0]
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.client = client
            with client, contextlib.suppress(OSError):
                while data := client.recv(4096):
                    while data:
                        data = data[os.write(self.fd, data):]
            self.client = None

    def show(self):
        while data := os.read(self.fd, 4096):
            with contextlib.suppress(OSError, AttributeError):
                self.client.sendall(data)


class Machine:
    """A child process in a process group of its own; it dies with us."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.process = None
        self.output = os.path.join(directory, "emulator.txt")
        self.words = os.path.join(directory, "corbel.txt")  # what is written to port E9h
        try:
            self.serial, self.slave = os.openpty()
        except OSError as error:
            raise ToolError(f"no pseudo-terminal for the serial port: {error.strerror}; is /dev/pts mounted?") from None
        tty.setraw(self.slave)  # no echo before the emulator has set it up
        self.port = os.ttyname(self.slave)

    def command(self):
        raise NotImplementedError

    def start(self):
        prctl = ctypes.CDLL(None).prctl
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.words)  # of a run before
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL))

    def running(self):
        return self.process.poll() is None

    def stop(self):
        if self.process and self.process.poll() is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self.process.pid, number)
                    self.process.wait(2)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
        os.close(self.slave)
        os.close(self.serial)

    def complaint(self):
        """What the emulator itself said last; empty if nothing."""
        with open(self.output, encoding="utf-8", errors="replace") as output:
            return ([""] + [line.strip() for line in output if line.strip()])[-1]

    def how_it_ended(self):
        status, complaint = self.process.poll(), self.complaint()
        how = ("was ended by this tool" if status is None else f"was killed by {signal.Signals(-status).name}" if status < 0
               else f"ended with status {status}")
        return f"{self.process.args[0]} {how}" + (f" and said: {complaint}" if complaint else "")


class Bochs(Machine):
    attempts = 5

    def __init__(self, options, directory):
        super().__init__(options, directory)
        self.words = self.output  # Bochs has the port on its standard output

    def running(self):
        if super().running():
            return True
        # Two that look for a free port for their displays at the same moment may both find none.
        if self.attempts == 0 or "RFB could not bind" not in self.complaint():
            return False
        self.attempts -= 1
        self.start()
        return True

    def model(self):
        return self.options.cpu or "corei7_skylake_x"

    def describe(self):
        why = no_nested_kvm()
        return (f"Bochs, {self.model()}, {self.options.cpus} CPU(s), {self.options.memory} MB"
                + (f" (slow, but {why})" if why else ""))

    def command(self):
        need("bochs", "bochs bochsbios vgabios")
        if self.options.uefi or self.options.screenshot:
            raise ToolError("--uefi and --screenshot work with qemu and qemu-tcg only")
        for file in (BOCHS_BIOS, BOCHS_VGABIOS):
            if not os.path.exists(file):
                raise ToolError(f"{file} is missing: apt-get install bochsbios vgabios")
        self.check_model()
        path = os.path.abspath(self.options.iso)
        medium = f'ata0-master: type=cdrom, path="{path}", status=inserted\nboot: cdrom'
        if self.options.usb:  # its BIOS boots no USB: a hard disk, as BIOSes show a stick; what is written to it is lost
            medium = (f'ata0-master: type=disk, path="{path}", mode=volatile, journal="{self.directory}/journal"\n'
                      "boot: disk")
        with open(os.path.join(self.directory, "bochsrc"), "w", encoding="utf-8") as rc:
            rc.write(BOCHSRC.format(
                model=self.model(), cpus=self.options.cpus, memory=self.options.memory, bios=BOCHS_BIOS,
                vgabios=BOCHS_VGABIOS, medium=medium, serial=self.port,
                extra="".join(f", {pair}" for pair in self.options.bochs), com2=self.second_port(),
                # The same image gives the same run, unless a person sits there.
                time=1700000000 if self.options.batch else "utc",
                sync=CLOCK[self.options.clock][0], ips=CLOCK[self.options.clock][1]))
        # Debian's build has a debugger, which waits at the start and after each reset.
        with open(os.path.join(self.directory, "commands"), "w", encoding="ascii") as commands:
            commands.write("c\n" * 100)
        return ["bochs", "-q", "-f", "bochsrc", "-rc", "commands"]

    def check_model(self):
        done = subprocess.run(["bochs", "--help", "cpu"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        models = re.findall(r"^\w+$", done.stdout.partition("Supported CPU models:")[2], re.M)
        if models and self.model() not in models:
            raise ToolError(f"Bochs has no CPU named {self.model()}; it has {' '.join(models)}")

    def second_port(self):
        path = self.options.com2
        if not path:
            return "com2: enabled=0"
        return f'com2: enabled=1, mode={"term" if is_terminal(path) else "file"}, dev="{os.path.abspath(path)}"'

    def complaint(self):
        try:
            with open(os.path.join(self.directory, "bochs.log"), encoding="utf-8", errors="replace") as log:
                panics = [line.strip() for line in log if ">>PANIC<<" in line]
        except FileNotFoundError:
            panics = []
        if panics:
            few = "too many registered timers" in panics[-1]
            return panics[-1] + (f" (so many CPUs, {self.options.cpus}, are more than it has timers for: try --cpus 16)" if few else "")
        with open(self.output, encoding="utf-8", errors="replace") as output:
            said = re.search(r"exiting with the following message:\s*(.*)", output.read())
        return said.group(1) if said else ""


class Qemu(Machine):
    accelerator = ["-accel", "kvm"]
    default_cpu = "host"

    def check(self):
        why = no_nested_kvm()
        if why:
            raise ToolError(f"no nested VMX for qemu here: {why}; --emulator bochs needs none")

    def describe(self):
        return (f"QEMU ({self.accelerator[1]}), {self.options.cpu or self.default_cpu}, "
                f"{self.options.cpus} CPU(s), {self.options.memory} MB")

    def command(self):
        need("qemu-system-x86_64", "qemu-system-x86")
        self.check()
        options = self.options
        iso = os.path.abspath(options.iso).replace(",", ",,")
        command = ["qemu-system-x86_64", *self.accelerator, "-cpu", options.cpu or self.default_cpu,
                   "-machine", "q35" if options.uefi else "pc", "-smp", str(options.cpus), "-m", str(options.memory),
                   "-display", "none", "-vga", "std", "-nic", "none", "-no-reboot", "-serial", self.port,
                   "-monitor", "unix:monitor,server=on,wait=off", "-debugcon", "file:corbel.txt"]
        if options.com2:
            command += ["-serial", options.com2 if is_terminal(options.com2) else f"file:{os.path.abspath(options.com2)}"]
        if options.uefi:
            if not os.path.exists(OVMF[0]):
                raise ToolError("no UEFI firmware for qemu: apt-get install ovmf")
            variables = os.path.join(self.directory, "efivars.fd")
            shutil.copyfile(OVMF[1], variables)
            command += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF[0]}",
                        "-drive", f"if=pflash,format=raw,file={variables}"]
        if options.usb:
            command += ["-drive", f"if=none,id=stick,format=raw,readonly=on,file={iso}",
                        "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"]
        else:
            command += ["-cdrom", iso, "-boot", "d"]
        if options.screenshot:
            command.append("-no-shutdown")  # a machine that is off still shows its last picture
        return command + options.qemu

    def screenshot(self, path):
        """Writes the picture: PNG, or PPM where the name ends so."""
        kind = "ppm" if path.endswith(".ppm") else "png"
        written = os.path.join(self.directory, "screen")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(os.path.join(self.directory, "monitor"))
            answer = b""
            while answer.count(b"(qemu)") < 2:  # the greeting's prompt, and the one after the command
                if answer.count(b"(qemu)") == 1 and b"screendump" not in answer:
                    monitor.sendall(f"screendump {written} -f {kind}\n".encode())
                answer += monitor.recv(65536)
        if not os.path.exists(written):
            raise ToolError("qemu wrote no picture: " + answer.decode(errors="replace").splitlines()[-2])
        shutil.move(written, path)


class QemuTcg(Qemu):
    accelerator = ["-accel", "tcg"]
    default_cpu = "max"

    def check(self):
        """Corbel refuses this machine, which has no VMX: for boot paths and screens."""


EMULATORS = {"bochs": Bochs, "qemu": Qemu, "qemu-tcg": QemuTcg}
