# shellcheck shell=bash
# What tools/mkiso, mkusb and mkinitramfs share: a work folder, what may be written, GRUB's core images. They source this file.
root=$(dirname "$(dirname "$(realpath "$0")")")
image=$root/build/corbel.elf
grub=/usr/lib/grub

fail() {
    echo "tools/$(basename "$0"): $*" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Tests set MACHINE to the root of a machine of their own, where a disk is a plain file.
machine=${MACHINE:-}

is_device() { # PATH: it stands where devices do, whether there is one or not
    case $1:$(realpath -m "$1") in
    "$machine"/dev/shm/* | *:"$machine"/dev/shm/*) false ;;
    "$machine"/dev/* | *:"$machine"/dev/*) true ;;
    *) [ -e "$1" ] && [ ! -f "$1" ] && [ ! -d "$1" ] ;;
    esac
}

check_out() { # FILE: it can be written, and is no device: a file in its place would hide it
    ! is_device "$1" || fail "$1 is no file: name one; 'dd if=FILE of=DISK' then puts it on a disk"
    [ ! -d "$1" ] || fail "$1 is a folder: name a file"
}

check_name() { # of a module
    case $1 in *[!A-Za-z0-9._+-]* | '' | grub) fail "'$1' cannot name a module: letters, digits and . _ + - only" ;; esac
}

module_name() { # FILE | NAME=FILE
    case $1 in *=*) echo "${1%%=*}" ;; *) basename "$1" ;; esac
}

# named_files CONFIG FILE...: checks it as the machine will, with these as its boot modules, and prints those files that it
# names and that lie beside it
named_files() {
    local config=$1 names=() file checker=$root/build/vmsconf
    shift
    [ -f "$config" ] || fail "$config: no such file"
    [ -x "$checker" ] || fail "$checker: no such file; 'make' builds it"
    for file in "$@"; do names+=("$(module_name "$file")"); done
    "$checker" "$config" vms.conf "${names[@]}" || fail "nothing was made: mend $config, or give the files that it names (or put them beside it)"
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
