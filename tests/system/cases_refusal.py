"""Machines that cannot run Corbel: one clear line that names what is missing, then an end."""
from harness import check_says


def refused(t, pattern, **machine):
    text = t.batch(t.iso(), 4, limit=180, **machine)
    check_says(text, pattern)


def case_refuse_no_vmx(t):
    """A CPU without VMX."""
    refused(t, r"missing: .*VMX", cpu="p4_prescott_celeron_336")


def case_refuse_no_ept(t):
    """A CPU with VMX but without EPT."""
    refused(t, r"missing: EPT", cpu="core2_penryn_t9600")


def case_refuse_qemu_bios(t):
    """QEMU's own emulation, booted by BIOS."""
    refused(t, r"missing: .*VMX", emulator="qemu-tcg")


def case_refuse_qemu_uefi(t):
    """QEMU's own emulation, booted by UEFI."""
    refused(t, r"missing: .*VMX", emulator="qemu-tcg", more=["--uefi"])
