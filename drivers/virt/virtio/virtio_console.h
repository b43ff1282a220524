// A console (Linux: hvc0), or a named port for a program in the guest
// (/dev/virtio-ports/org.qemu.guest_agent.0). Each is a device of its own: a console alone is told
// its size by the configuration, which all drivers read alike; in the message that takes its place
// beside other ports, they differ about rows and columns. virtio specification: "Console Device".
#pragma once

#include "drivers/virt/virtio/virtio.h"

struct virtio_console {
    struct virtio virtio;
    uint64_t line;    // of vm->console[]: where it leads
    const char *name; // of the port; NULL: it is a console
    uint64_t done;    // bytes of the chain that is on its way out
    uint32_t head;    // ... which begins there
    uint16_t is_held; // there is one: its line had no room for all of it
    uint16_t owed;    // control messages that the driver has no buffer for yet: bits
    uint64_t is_open; // the guest's program has the port open
    uint64_t lost;    // emergency writes without room
};

extern const struct vdev_class virtio_console_class;

// Makes the device the console or the port of that name behind vm->console[line], before it is
// reset.
void virtio_console_describe(struct virtio_console *console, unsigned line, const char *name);

// Whether somebody in the guest reads: the driver of a console, the program that opened a port.
bool virtio_console_is_open(struct virtio_console *console);

// Bytes from the line. Returns how many of them the guest had buffers for; offer the others again.
size_t virtio_console_receive(struct virtio_console *console, const uint8_t *bytes, size_t length);

// The line has room again: what waits for it is due.
void virtio_console_flush(struct virtio_console *console);

// All is out that the guest has written.
bool virtio_console_is_idle(struct virtio_console *console);

// The size of the terminal, in characters; 0, 0 if nobody knows.
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);
