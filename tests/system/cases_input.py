"""What an operator can give: nothing, wrong files, wrong settings. Each is named, none is a panic."""
from harness import INITRD, KERNEL, SKYLAKE, check, check_says
from picture import wrapped

VM = "[vm linux]\nkernel = vmlinuz\ninitrd = initrd.gz\nmemory = 256M\ncmdline = console=ttyS0\n"


def skipped(t, *files, config, says, status=2):
    """Corbel says what is wrong with this VM, and ends without a panic."""
    text = t.batch(t.iso(*files, config=config), status, cpu=SKYLAKE, limit=180)
    check("panic" not in text.lower(), "a wrong input led to a panic")
    check_says(text, *says)


def case_builtin_guest(t):
    """No modules at all: the built-in self-test guest runs and passes."""
    text = t.batch(t.iso(), 0, cpu=SKYLAKE, limit=180)
    check_says(text, r"PASS")
    check("FAIL" not in text, "the self-test guest failed")


def case_report(t):
    """`report` on Corbel's command line prints what this CPU can do; its numbers stand on the last screen of 80x25."""
    text = t.batch(t.iso(arguments="report"), 0, cpu=SKYLAKE, limit=180)
    check_says(text, r"EPT", r"VPID", r"corbel: end: report")
    page = "\n".join(wrapped(text.rstrip(), 80)[-24:])  # the cursor stands on the 25th line
    check_says(page, r"CPUID\.1 [0-9a-f]{8} ", r"\b48c [0-9a-f]{16}", r"in use:", r"mitigations:", r"end: report")


def case_corrupt_kernel(t):
    """A kernel that is no kernel."""
    broken = t.file("vmlinuz", bytes(range(256)) * 64)
    skipped(t, broken, INITRD, config=VM, says=[r"corbel: vms\.conf:2: VM linux: vmlinuz: no kernel but "])


def case_truncated_kernel(t):
    """A bzImage that ends too early."""
    broken = t.file("vmlinuz", KERNEL.read_bytes()[:70000])
    skipped(t, broken, INITRD, config=VM, says=[r"corbel: vms\.conf:2: VM linux: vmlinuz: "])


def case_missing_initrd(t):
    """The initrd that vms.conf names is no module."""
    skipped(t, f"vmlinuz={KERNEL}", config=VM, says=[r"vms\.conf:3: VM linux: initrd: no boot module has the name initrd\.gz;\s+there are: vms\.conf, vmlinuz"])


def case_guest_memory(t):
    """A VM larger than the machine."""
    skipped(t, f"vmlinuz={KERNEL}", INITRD, config=VM.replace("256M", "4G"), says=[r"vms\.conf:4: VM linux: memory = 4096M does not fit"])


def case_trap_unsupported(t):
    """trap = names an exit that this CPU does not have: refused by name; of `all`, the rest is taken."""
    text = t.batch(t.iso(config="[vm a]\ntrap = pause,rdseed\n[vm b]\nmemory = 64M\ntrap = all\n"), 0, cpu="corei7_sandy_bridge_2600k", limit=180)
    check_says(text, r'corbel: vms\.conf:2: VM a: trap: these CPUs have no control "RDSEED exiting";\s+take that word out', r"VM b ended: powered off")
    check("FAIL" not in text, "the self-test with all exits that there are failed")


def case_module_too_large(t):
    """An initrd larger than the VM's memory."""
    large = t.file("initrd.gz", bytes(48 << 20))
    skipped(t, f"vmlinuz={KERNEL}", large, config=VM.replace("256M", "32M"), says=[r"initrd\.gz|memory"])


def case_garbage_config(t):
    """A vms.conf with wrong lines: each error has its line number."""
    skipped(t, config="[vm a]\ncpus = many\nnonsense\nmemory = -1\n", says=[r"vms\.conf:2", r"vms\.conf:3", r"vms\.conf:4"])
