"""The screen: what GRUB hands over on UEFI and on BIOS, and that all of the text stands there, dot by dot."""
import json
import re
import shutil
import socket
import subprocess
import time

from harness import BUILD, ESCAPES, SCALE, Failure, check, check_says
from picture import Picture, corbel_font, vga_font, wrapped

BANNER = "Corbel, a hypervisor for Intel VMX"


def check_shows(lines, serial, columns):
    """The screen shows what the serial line got, from the first word to the last."""
    expected = wrapped(serial[serial.index(BANNER):], columns)
    while expected and not expected[-1]:
        expected.pop()
    while lines and not lines[0]:
        lines = lines[1:]
    for seen, wanted in zip(lines, expected):
        check(seen == wanted, f"the screen shows {seen!r} where {wanted!r} was printed")
    check(len(lines) == len(expected), f"{len(lines)} lines on the screen, {len(expected)} were printed")


def photograph(t, *more, iso=None, arguments="", status=4, says=(r"missing: Intel VMX", r"end: refused")):
    """The last picture of a boot, and what came by the serial line."""
    path = t.folder / "screen.ppm"
    path.unlink(missing_ok=True)
    serial = t.batch(iso or t.iso(arguments=arguments), status, emulator="qemu-tcg", limit=120, more=["--screenshot", path, *more])
    check_says(serial, *says)
    rows = ESCAPES.sub("", t.seen()).replace("\r", "")
    return Picture(path), rows[rows.rindex(BANNER):]


class BareMachine:
    """QEMU with no serial port, no VGA and nothing else that is not asked for; the debug port 0xE9 tells what it prints."""

    def __init__(self, t, machine, *more, arguments=""):
        self.t, self.told = t, 0
        self.path, self.socket, self.qmp = t.folder / "debugport.txt", t.folder / "monitor", t.folder / "qmp"
        for left in self.path, self.socket, self.qmp:
            left.unlink(missing_ok=True)
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none", "-nodefaults",
             "-vga", "none", "-serial", "none", "-debugcon", f"file:{self.path}", "-machine", machine,
             "-monitor", f"unix:{self.socket},server=on,wait=off", "-qmp", f"unix:{self.qmp},server=on,wait=off", "-cdrom", t.iso(arguments=arguments), *more],
            stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.kill()  # where nothing switches it off it halts
        self.qemu.wait()

    def wait_for_end(self):
        """What was printed since the last time, up to Corbel's last line."""
        deadline = time.monotonic() + 90 * SCALE
        while time.monotonic() < deadline:
            time.sleep(0.2)
            text = self.path.read_text(errors="replace")[self.told:] if self.path.exists() else ""
            if re.search(r"^corbel: end: \w+\n", text, re.M):
                self.told += len(text)
                with open(self.t.log, "a", encoding="utf-8") as log:
                    log.write(text)
                return text
        raise Failure("no last line came out of the debug port")

    def monitor(self, *commands):
        while not self.socket.exists():
            time.sleep(0.1)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.socket))
            for command in commands:
                monitor.sendall(f"{command}\n".encode())
                time.sleep(0.3)

    def hold(self, key, seconds):
        """As a finger does, the key repeats: at no moment it is up."""
        event = {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": key}}}
        with socket.socket(socket.AF_UNIX) as qmp:
            qmp.connect(str(self.qmp))
            qmp.sendall(b'{"execute": "qmp_capabilities"}\n')
            for down in [True] * int(seconds / 0.1) + [False]:
                event["data"]["down"] = down
                qmp.sendall(json.dumps({"execute": "input-send-event", "arguments": {"events": [event]}}).encode() + b"\n")
                qmp.recv(65536)
                time.sleep(0.1)


def case_screen_uefi(t):
    """UEFI: the refusal stands on the framebuffer, complete and in the font's very dots."""
    picture, serial = photograph(t, "--uefi")
    check_shows(picture.text(corbel_font()), serial, picture.width // 8)


def case_screen_bios(t):
    """BIOS: the same on the 80x25 text screen."""
    picture, serial = photograph(t)
    check((picture.width, picture.height) == (720, 400), f"{picture.width}x{picture.height} is not the VGA's text mode")
    check_shows(picture.text(vga_font(), cell_width=9), serial, 80)


def case_screen_panic(t):
    """A panic stands whole on the framebuffer."""
    picture, serial = photograph(t, "--uefi", arguments="end=panic", status=3,
                                 says=[r"panic on CPU 0: asked for", r"backtrace:", r"boot_main\+0x", r"end: panic"])
    check_shows(picture.text(corbel_font()), serial, picture.width // 8)


def case_panic_is_kept(t):
    """After a reset the next boot tells of the panic of the last one; the first boot has nothing to tell."""
    told = r"the last boot ended in a panic:"
    with BareMachine(t, "q35", "-no-shutdown", arguments="end=panic") as machine:
        check(not re.search(told, machine.wait_for_end()), "a panic before the first boot")
        machine.monitor("system_reset", "cont")
        check_says(machine.wait_for_end(), told, r"\| corbel: panic on CPU 0: asked for by end=panic",
                   r"\|   [0-9a-f]{16} boot_main\+0x", r"\ncorbel: panic on CPU 0")


def case_end_reset(t):
    """`end=reset` starts the machine again instead."""
    with BareMachine(t, "q35", "-no-reboot", arguments="end=reset") as machine:
        machine.wait_for_end()
        check(machine.qemu.wait(10) == 0, "the machine was not reset")


def case_machine_check(t):
    """A machine check that needs no action is survived; one that corrupts a CPU ends in a panic that tells of both, and
    of what the other CPU's banks say."""
    with BareMachine(t, "q35", "-smp", "2", arguments="end=halt") as machine:
        machine.wait_for_end()
        machine.monitor("mce 0 9 0xbd000000000000c0 5 0x12345000 0x8c", "mce -b 0 1 0xbf80000000000134 4 0x5000 0x8c")
        check_says(machine.wait_for_end(), r"panic on CPU \d: exception 18 \(machine check\) in panic_halt\+0x",
                   r"CPU 0 bank 9: memory controller error, uncorrected, address 0x12345000 ",
                   r"CPU 0 bank 1: cache error, uncorrected, CPU state corrupt, action required, address 0x5000 ",
                   r"CPU 1 bank 1: ", r"multiboot_entry.long_mode\+0x", r"end: panic")


def case_screen_stays(t):
    """`end=halt` keeps the machine on, so that a refusal can be read; without it an emulator goes down."""
    console = t.boot(t.iso(arguments="end=halt"), emulator="qemu-tcg", limit=120)
    console.expect(r"halted, so that this stays on the screen", 60)
    console.expect(r"end: refused", 10)
    time.sleep(1.5)
    check(console.child.isalive(), "the machine went down")
    console.ends(4, 10)


def case_no_legacy_bios(t):
    """No UART, VGA, PIT, PIC, i8042 or HPET, by BIOS; without ACPI, too, there is no clock, and that is said."""
    off = "i8042=off,pit=off,hpet=off,smbus=off,vmport=off"
    with BareMachine(t, f"q35,pic=off,{off}") as machine:
        check_says(machine.wait_for_end(), r"tsc: \d+ kHz, by the ACPI PM timer", r"missing: Intel VMX", r"end: refused")
    with BareMachine(t, f"pc,acpi=off,{off}") as machine:
        check_says(machine.wait_for_end(), r"no ACPI RSDP", r"no clock to measure the TSC by: switch", r"end: refused")


def case_no_legacy_uefi(t):
    """No UART, VGA, i8042 or HPET, by UEFI."""
    variables = shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", t.folder / "variables.fd")
    flash = [word for file, more in (("/usr/share/OVMF/OVMF_CODE_4M.fd", ",readonly=on"), (variables, ""))
             for word in ("-drive", f"if=pflash,format=raw,file={file}{more}")]
    with BareMachine(t, "q35,i8042=off,hpet=off,smbus=off,vmport=off", *flash) as machine:
        check_says(machine.wait_for_end(), r"missing: Intel VMX", r"end: refused")


OWN_GRUB = """\
insmod all_video
set gfxmode=auto
loadfont unicode
terminal_output gfxterm
set timeout=0
menuentry Corbel {
    insmod all_video
    set gfxpayload=auto
    multiboot2 /corbel.elf
}
"""


def own_grub(t):
    """A medium with all of GRUB, in graphics, and a menu entry as a person writes it."""
    tree = t.folder / "tree"
    (tree / "boot/grub").mkdir(parents=True, exist_ok=True)
    (tree / "boot/grub/grub.cfg").write_text(OWN_GRUB)
    shutil.copy(BUILD / "corbel.elf", tree)
    iso = t.folder / "own.iso"
    subprocess.run(["grub-mkrescue", "-o", iso, tree], check=True, capture_output=True)
    return iso


def case_report_entry(t):
    """By BIOS, Shift held at the keyboard brings the ISO's menu; its second entry is the report."""
    with BareMachine(t, "pc", "-boot", "menu=on,splash-time=3000") as machine:  # time to press it
        machine.monitor()
        machine.hold("shift", 15 * SCALE)
        machine.monitor("sendkey down", "sendkey ret")
        check_says(machine.wait_for_end(), r"Corbel, a hypervisor", r"corbel: end: report")


def case_own_grub(t):
    """Another GRUB, with all its modules and a graphical menu: the screen arrives by UEFI and by BIOS."""
    for more, font, cell_width in (([], vga_font(), 9), (["--uefi"], corbel_font(), 8)):
        picture, serial = photograph(t, *more, iso=own_grub(t))
        check_shows(picture.text(font, cell_width), serial, picture.width // cell_width)
