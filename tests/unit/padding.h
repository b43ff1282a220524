// Which bytes of a struct are padding: those that padding_of_NAME() makes zero. (GCC 12 loses them
// behind an array of structs that have some themselves: such an array goes last.)
#pragma once

#define PADDED_STRUCTS(X)                                                                          \
    X(vchipset)                                                                                    \
    X(vflash)                                                                                      \
    X(vfwcfg)                                                                                      \
    X(vi8042)                                                                                      \
    X(virtio_balloon)                                                                              \
    X(virtio_blk)                                                                                  \
    X(virtio_net)                                                                                  \
    X(virtio_console)                                                                              \
    X(virtio_vsock)                                                                                \
    X(virtio_rng)                                                                                  \
    X(vioapic)                                                                                     \
    X(vgenid)                                                                                      \
    X(vpci)                                                                                        \
    X(vpcitest)                                                                                    \
    X(vpic)                                                                                        \
    X(vpit)                                                                                        \
    X(vpm)                                                                                         \
    X(vrtc)                                                                                        \
    X(vtestdev)                                                                                    \
    X(vtestmem)                                                                                    \
    X(vuart)

// The same of others that have a table, name_fields.
#define PADDED_PARTS(X) X(vcpu)

#define DECLARE(name)                                                                              \
    struct name;                                                                                   \
    void padding_of_##name(struct name *bytes);
PADDED_STRUCTS(DECLARE)
PADDED_PARTS(DECLARE)
