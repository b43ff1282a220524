# shellcheck shell=bash
# What tools/mkiso and tools/mkusb share: a work folder, and GRUB's core images. They source this file.
root=$(dirname "$(dirname "$(realpath "$0")")")
image=$root/build/corbel.elf
grub=/usr/lib/grub

fail() {
    echo "tools/$(basename "$0"): $*" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check_name() { # of a module
    case $1 in *[!A-Za-z0-9._+-]* | '' | grub) fail "'$1' cannot name a module: letters, digits and . _ + - only" ;; esac
}

check_words() { # of a command line
    case $1 in *[\'\"\\\$\;\{\}]* | *$'\n'*) fail "no quotes, \$, ;, braces or backslashes in a command line" ;; esac
}

strip_image() { # TO
    [ -f "$image" ] || fail "$image: no such file; 'make' builds it"
    objcopy --strip-debug "$image" "$1"
}

# grub_core FORMAT TO MODULE...: GRUB's core image. All that it needs is inside, there is no module to load; it first runs
# $work/early.cfg, which finds the medium. False if this machine has no GRUB for that firmware.
grub_core() {
    local format=$1 to=$2
    shift 2
    [ -d "$grub/$format" ] || return
    case $format in
    i386-pc) set -- "$@" biosdisk ;;
    *) set -- "$@" efi_gop efi_uga ;;
    esac
    grub-mkimage -O "$format" -d "$grub/$format" -p /boot/grub -c "$work/early.cfg" -o "$to" \
        normal part_msdos part_gpt serial terminal multiboot2 configfile echo reboot halt "$@"
}
