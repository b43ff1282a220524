"""The screen: what GRUB hands over on UEFI and on BIOS, and that all of the text stands there, dot by dot."""
import shutil
import subprocess
import time

from harness import SCALE, check, check_says
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


def refusal(t, *more):
    path = t.folder / "screen.ppm"
    path.unlink(missing_ok=True)
    serial = t.batch(t.iso(), 4, emulator="qemu-tcg", limit=120, more=["--screenshot", path, *more])
    check_says(serial, r"missing: Intel VMX", r"end: refused")
    return Picture(path), serial


def case_screen_uefi(t):
    """UEFI: the refusal stands on the framebuffer, complete and in the font's very dots."""
    picture, serial = refusal(t, "--uefi")
    check_shows(picture.text(corbel_font()), serial, picture.width // 8)


def case_screen_bios(t):
    """BIOS: the same on the 80x25 text screen."""
    picture, serial = refusal(t)
    check((picture.width, picture.height) == (720, 400), f"{picture.width}x{picture.height} is not the VGA's text mode")
    check_shows(picture.text(vga_font(), cell_width=9), serial, 80)


def case_screen_stays(t):
    """`end=halt` keeps the machine on, so that a refusal can be read; without it an emulator goes down."""
    console = t.boot(t.iso(arguments="end=halt"), emulator="qemu-tcg", limit=120)
    console.expect(r"halted, so that this stays on the screen", 60)
    console.expect(r"end: refused", 10)
    time.sleep(1.5)
    check(console.child.isalive(), "the machine went down")
    console.ends(4, 10)


def bare_machine(t, machine, *more):
    """QEMU without serial port, VGA and other things of old; returns what came out of the debug port 0xE9."""
    path = t.folder / "debugport.txt"
    path.unlink(missing_ok=True)
    qemu = subprocess.Popen(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none",
                             "-nodefaults", "-vga", "none", "-serial", "none", "-debugcon", f"file:{path}", "-no-reboot",
                             "-machine", machine, "-cdrom", t.iso(), *more], stdin=subprocess.DEVNULL)
    text, deadline = "", time.monotonic() + 90 * SCALE
    while "end: " not in text and time.monotonic() < deadline:
        time.sleep(0.2)
        text = path.read_text(errors="replace") if path.exists() else ""
    qemu.kill()  # where nothing switches it off it halts
    qemu.wait()
    with open(t.log, "a", encoding="utf-8") as log:
        log.write(text)
    return text


def case_no_legacy_bios(t):
    """No UART, VGA, PIT, PIC, i8042 or HPET, by BIOS; without ACPI, too, there is no clock, and that is said."""
    off = "i8042=off,pit=off,hpet=off,smbus=off,vmport=off"
    text = bare_machine(t, f"q35,pic=off,{off}")
    check_says(text, r"tsc: \d+ kHz, by the ACPI PM timer", r"missing: Intel VMX", r"end: refused")
    text = bare_machine(t, f"pc,acpi=off,{off}")
    check_says(text, r"no ACPI RSDP", r"no clock to measure the TSC by: switch", r"end: refused")


def case_no_legacy_uefi(t):
    """No UART, VGA, i8042 or HPET, by UEFI."""
    variables = shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", t.folder / "variables.fd")
    flash = [word for file, more in (("/usr/share/OVMF/OVMF_CODE_4M.fd", ",readonly=on"), (variables, ""))
             for word in ("-drive", f"if=pflash,format=raw,file={file}{more}")]
    text = bare_machine(t, "q35,i8042=off,hpet=off,smbus=off,vmport=off", *flash)
    check_says(text, r"missing: Intel VMX", r"end: refused")
