// The VM-entry checker: what VMLAUNCH and VMRESUME check, in C, naming each field that breaks a
// rule. Emulated CPUs accept states that silicon refuses; silicon refuses without saying why.
// Called before a first launch in debug builds and after every failed entry. SDM: chapter "VM
// Entries": "Checks on VMX Controls and Host-State Area", "Checking and Loading Guest State".
#pragma once

#include "lib/print.h"
#include "vmx/policy/capabilities.h"
#include "vmx/policy/vmcs.h"

struct check {
    const struct vmx_capabilities *capabilities; // of the CPU that enters
    // asked only for fields that the controls in use imply
    uint64_t (*read)(void *context, uint32_t field);
    void *context;
    const uint8_t *virtual_apic; // the virtual-APIC page, or NULL if it cannot be looked at
    struct printer *to;          // one line for each violation: field, value, rule
    unsigned violations;         // counted up
};

// Everything. Returns the number of violations.
unsigned check_entry(struct check *check);

// The three areas, as a failed entry tells them apart: VM-instruction error 7, error 8, and exit
// reason 33.
void check_controls(struct check *check);
void check_host(struct check *check);
void check_guest(struct check *check);
