"""Debian on a disk and on a network: another VM gives it an address and a package. Long: `make firmware-matrix`."""
from cases_disks import RESCUE, boot, check_file_system, check_system, log_in, run
from harness import BUILD, GUEST, KERNEL, check, check_says

MIRROR = "10.0.0.1"
CONFIG = """
[switch lan]

[vm debian]
firmware = seabios
memory   = 256M
disk     = module:debian.img,overlay
net      = lan

[vm mirror]
memory   = 96M
kernel   = vmlinuz
initrd   = initrd-mirror.gz
net      = lan
cmdline  = console=ttyS0 quiet ip={MIRROR}/24
"""


def check_network(console):
    """An address by DHCP, and the neighbour answers."""
    check_says(run(console, "ip -4 address show eth0"), r"inet 10\.0\.0\.10/24")
    check_says(run(console, f"ping -c 3 {MIRROR}"), "3 packets transmitted, 3 received")


def install(console):
    """apt, as on any machine; all that it needs comes from the neighbour."""
    run(console, f"echo deb [trusted=yes] http://{MIRROR}/ ./ >/etc/apt/sources.list")
    check_says(run(console, "apt-get update; echo status $?", 600), f"Get:.* http://{MIRROR}", "status 0")
    check(run(console, "hello").endswith("command not found"), "the package was there before")
    check_says(run(console, "apt-get -y install hello; echo status $?", 900), "Setting up hello", "status 0")
    check(run(console, "hello") == "Hello, world!", "what was installed does not run")
    check(run(console, "dpkg --verify hello | grep -v /usr/share/") == "", "files are not as the package has them")


def network_life(t, image, kernel):
    """To the login, a network, a package installed, a reboot into a check of the file system, where the package is."""
    console = boot(t, CONFIG.format(MIRROR=MIRROR), f"debian.img={GUEST / image}", f"vmlinuz={KERNEL}",
                   BUILD / "system" / "initrd-mirror.gz", memory=1536)
    console.expect("corbel: ready", 300)
    console.type("\x011")
    log_in(console)
    check_says(run(console, "uname -r"), kernel)
    check_system(console, "seabios")
    check_network(console)
    install(console)
    console.type("reboot\r")
    console.expect("VM debian: reset: restart 1\r?\n", 600)
    check_file_system(console)
    run(console, "mount -o ro /dev/vda3 /root", prompt=RESCUE)
    check(run(console, "ls /root/usr/bin/hello", prompt=RESCUE) == "/root/usr/bin/hello", "the package is gone")
    console.type("\x01x")
    console.ends(0)


def long_disk_apt(t):
    """Debian with the cloud kernel installs a package that another VM serves."""
    network_life(t, "debian.img", "-cloud-amd64$")


def long_disk_generic(t):
    """The same with Debian's kernel for PCs."""
    network_life(t, "debian-generic.img", r"-\d+-amd64$")
