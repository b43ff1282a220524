// An Ethernet switch. Its ports belong to VMs and live as long as the machine; devices of VMs come
// and go (net_port_connect()). The address behind a VM's port is known; only behind an uplink are
// addresses learnt. A frame is carried in the time of who sends it, by one copy into the receiver's
// buffers; who has none loses it, so that nobody waits for a receiver. All that is dropped is
// counted.
#pragma once

#include "drivers/virt/net/addresses.h"
#include "drivers/virt/net/packet.h"
#include "drivers/virt/net/rate.h"
#include "lib/spinlock.h"

#define NET_PORTS   257 // 64 VMs of 4 ports, and an uplink
#define NET_VLANS   4096
#define NET_MTU     1500 // if nothing is said
#define NET_MTU_MIN 68
#define NET_MTU_MAX 65535

// Frames a second to many receivers that a port may send, if nothing else is said.
#define NET_FLOOD_RATE  20000
#define NET_FLOOD_BURST 2000

// Why frames are dropped: those of a VM, and those to it.
// clang-format off
#define NET_DROP_REASONS(X) \
    X(LINK, "link down") \
    X(SOURCE, "not its address") \
    X(LENGTH, "too short or too long") \
    X(OFFLOAD, "offload that does not fit") \
    X(VLAN, "VLAN not of the port") \
    X(FLOOD, "above the rate to all") \
    X(UNKNOWN, "nobody's address") \
    X(ISOLATED, "between isolated ports") \
    X(TO_TAG, "to: another tag behind its own") \
    X(TO_LINK, "to: link down") \
    X(TO_RATE, "to: above the rate") \
    X(TO_BUFFERS, "to: no buffers") \
    X(TO_FILTER, "to: not wanted")
// clang-format on

#define NET_DROP_INDEX(name, text) NET_DROP_##name,
enum net_drop { NET_DROP_REASONS(NET_DROP_INDEX) NET_DROPS };

const char *net_drop_text(enum net_drop reason);

struct net_count {
    uint64_t frames;
    uint64_t bytes;
};

struct net_port;
struct net_switch;

// What the machine half lends a switch.
struct net_host {
    // Nanoseconds since 1970, never going back.
    uint64_t (*now)(void);
    // Between the two, on this CPU: the receiver's RAM is seen where its gmem says, and that of
    // `from`, whose VM's exit or tick this is, where from->beside says. They may be the same VM.
    // Nothing waits and nothing else is shown in between.
    void (*open)(struct net_port *from, struct net_port *to);
    void (*close)(struct net_port *from, struct net_port *to);
};

// Who receives; all are called with the port's lock held.
struct net_device_class {
    // Whether the driver wants such a frame, tagged or not as it is to come; and what it accepts:
    // NET_ACCEPTS_ bits.
    bool (*wants)(void *device, const struct net_packet *packet, bool is_tagged, uint32_t *accepts);
    // Between open() and close(): puts a frame into the driver's buffers, false if there are not
    // enough; and lets the driver see what was put there. And behind close(): interrupts it.
    bool (*receive)(void *device, struct net_packet *packet);
    void (*show)(void *device);
    void (*interrupt)(void *device);
    // The link is up or down, as it was or not. The driver is asked to tell the network where it
    // is.
    void (*link)(void *device, bool is_up);
    void (*announce)(void *device);
};

struct net_capture {
    uint32_t snap; // bytes of a frame at most
    void (*record)(struct net_capture *capture, const uint8_t *header,
                   const struct net_packet *packet, uint32_t captured);
};

// A port. The first part is set before net_port_add() and constant afterwards; all zeros: a plain
// port without VLANs and limits.
struct net_port {
    const char *name;     // "web.net0"
    uint64_t mac;         // of the VM: the first byte in bits 7:0
    bool is_uplink;       // behind it is more than one address: no source filter, learning
    bool is_isolated;     // reaches only ports that are not
    bool may_change_mac;  // its driver may give itself another address
    bool has_no_offloads; // its device has none to negotiate
    bool is_trunk;        // carries the VLANs of `trunk` with tags
    uint8_t pairs;        // of queues that its device has at most, 1 to 8; 0: one a vCPU
    uint16_t vlan;        // of frames without a tag, 1 to 4094; 0: that of ports without VLANs
    uint64_t trunk[NET_VLANS / 64];
    struct net_rate sent_bytes, sent_frames;         // of the VM: over the rate its queue waits
    struct net_rate received_bytes, received_frames; // ... frames are dropped
    struct net_rate flooded;                         // to many receivers: dropped

    struct net_switch *in; // net_port_add() sets it
    unsigned number;
    bool is_limited;  // in what one alone sends to it, or it to one
    uint64_t address; // mac, or what the driver wants to have

    // Guards the following, and what of its device others use. The device and what goes with it
    // change under the device's lock, too.
    struct spinlock lock;
    const struct net_device_class *class; // of the device; NULL: there is none
    void *device;
    struct vm *vm; // ... whose it is
    const struct gmem *beside;
    bool is_down; // the link, by the operator
    struct net_capture *_Atomic capture;
    // Written by one CPU at a time, read by any.
    struct net_count sent;     // under the lock of the device
    uint64_t waited;           // ... how often it had to, for its rate
    bool waits;                // ... and has to now
    struct net_count received; // under the lock of the port
    _Atomic uint64_t dropped[NET_DROPS];
};

struct net_switch {
    const char *name;
    const struct net_host *host;
    uint32_t mtu;         // bytes of a frame behind its header; 0: NET_MTU
    struct spinlock lock; // guards changes of the following; it is read without
    _Atomic unsigned count;
    _Atomic unsigned uplinks; // how many of them
    struct net_port *_Atomic port[NET_PORTS];
    struct net_addresses addresses; // of VMs, and those that were learnt
};

// Adds a port for good. STATUS_FULL: there are NET_PORTS; STATUS_OVERLAP: another port has its
// address.
MUST_CHECK status_t net_port_add(struct net_switch *in, struct net_port *port,
                                 struct explanation *why);

// A device begins to send and receive, under its lock: its VM's RAM is there. `beside`:
// gmem_beside() of that RAM. When net_port_disconnect() returns, under the same lock, nobody
// reaches the device or its VM any more.
void net_port_connect(struct net_port *port, const struct net_device_class *class, void *device,
                      struct vm *vm, const struct gmem *beside);
void net_port_disconnect(struct net_port *port);

// The operator's: link up or down, which the driver hears of; whether it is up; a driver that knows
// how to tells the network where it is.
void net_port_set_link(struct net_port *port, bool is_up);
bool net_port_is_up(const struct net_port *port);
void net_port_announce(struct net_port *port);

// Begins a capture, which stays until the next, or ends it (NULL): then it is called no more.
void net_port_capture(struct net_port *port, struct net_capture *capture);

// ---- for devices ----

// The driver has this address, if the port may have that and nobody else does.
bool net_port_set_address(struct net_port *port, uint64_t address);

// How many nanoseconds the port has to wait before it may send; 0: none.
uint64_t net_port_wait_for_rate(struct net_port *port);
static inline uint64_t net_port_wait(struct net_port *port)
{
    return port->is_limited ? net_port_wait_for_rate(port) : 0;
}

// Takes a frame that the port's VM sends: net_packet_take() gave it, `features` are the sender's.
// False: it is dropped. Then carries it on, in pieces: *left falls by what it costs, in bytes;
// false: that was all of it, and the rest is for the next call. Under the lock of the sending
// device.
MUST_CHECK bool net_send(struct net_port *from, struct net_packet *packet, uint64_t features);
MUST_CHECK bool net_send_on(struct net_port *from, struct net_packet *packet, uint64_t *left);

// The VM sent what cannot be a frame.
void net_drop(struct net_port *from, enum net_drop reason);
