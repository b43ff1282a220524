// A writer of ACPI Machine Language: enough to describe a small board. Every function appends; an
// overflow is remembered and nothing more is written. ACPI: "ACPI Machine Language (AML)
// Specification".
#pragma once

#include "lib/bits.h"

struct aml {
    uint8_t *bytes;
    size_t size;
    size_t used;
    bool overflow;
};

// A block whose length is known when it ends: `size_t at = aml_begin_...(aml, ...); ...;
// aml_end(aml, at);` Names are four characters; a scope may begin with a backslash.
size_t aml_begin_scope(struct aml *aml, const char *name);
size_t aml_begin_device(struct aml *aml, const char *name);
size_t aml_begin_package(struct aml *aml, uint8_t elements);
void aml_end(struct aml *aml, size_t at);

// Name (name, ...): the value is the object that is appended next.
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);

// The integer that stands for an EISA identifier: three capital letters and four hexadecimal
// digits, as in "PNP0A03".
void aml_eisa_id(struct aml *aml, const char *id);

// A resource template: its descriptors are collected, then appended as a buffer.
#define AML_RESOURCES 128

struct aml_resources {
    size_t used;
    uint8_t bytes[AML_RESOURCES]; // room for the dozen descriptors of one device
};

// Addresses that a bus passes on: memory that is not cached, ports, or numbers of buses.
enum aml_space { AML_MEMORY, AML_PORTS, AML_BUS };
void aml_range(struct aml_resources *resources, enum aml_space space, uint32_t first,
               uint32_t last);
void aml_ports(struct aml_resources *resources, uint16_t first, uint8_t count);
void aml_irq(struct aml_resources *resources, unsigned irq); // edge-triggered, active high
void aml_resources_end(struct aml *aml, struct aml_resources *resources);
