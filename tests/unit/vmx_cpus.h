// The capability MSRs of CPUs: three models of Bochs 2.7 as read on them, what a KVM host without
// APICv gives, and what VirtualBox 7 does by its source.
#pragma once

#include "vmx/policy/capabilities.h"

static const struct vmx_raw bochs_icelake = {
    .msr = {0x00d8100000000004, 0x0000007f00000016, 0xfff9fffe0401e172, 0x007fffff00036dff,
            0x0000ffff000011ff, 0x00000000600401e0, 0x0000000080000021, 0x00000000ffffffff,
            0x0000000000002000, 0x0000000000772fff, 0x0000000000000034, 0x02977fff00000000,
            0x00000f0106334141, 0x0000007f00000016, 0xfff9fffe04006172, 0x007fffff00036dfb,
            0x0000ffff000011fb, 0x0000000000000001},
    .feature_control = 5,
    .signature = 0x000706e5,
    .vmx = true,
    .long_mode = true,
    .no_execute = true,
    .physical_bits = 40,
    .linear_bits = 48,
};

static const struct vmx_raw bochs_skylake = {
    .msr = {0x00d810000000002b, 0x0000007f00000016, 0xf7f9fffe0401e172, 0x007fffff00036dff,
            0x0000ffff000011ff, 0x00000000600401e0, 0x0000000080000021, 0x00000000ffffffff,
            0x0000000000002000, 0x00000000003727ff, 0x0000000000000034, 0x02177fff00000000,
            0x00000f0106334141, 0x0000007f00000016, 0xf7f9fffe04006172, 0x007fffff00036dfb,
            0x0000ffff000011fb, 0x0000000000000001},
    .feature_control = 5,
    .signature = 0x00050654,
    .vmx = true,
    .long_mode = true,
    .no_execute = true,
    .physical_bits = 40,
    .linear_bits = 48,
};

static const struct vmx_raw bochs_tigerlake = {
    .msr = {0x01d8100000000004, 0x0000007f00000016, 0xfff9fffe0401e172, 0x107fffff00036dff,
            0x0010ffff000011ff, 0x00000000600401e0, 0x0000000080000021, 0x00000000ffffffff,
            0x0000000000002000, 0x0000000000f72fff, 0x0000000000000034, 0x02977fff00000000,
            0x00000f0106b34141, 0x0000007f00000016, 0xfff9fffe04006172, 0x107fffff00036dfb,
            0x0010ffff000011fb, 0x0000000000000001},
    .feature_control = 5,
    .signature = 0x000806c1,
    .vmx = true,
    .long_mode = true,
    .no_execute = true,
    .physical_bits = 40,
    .linear_bits = 48,
};

static const struct vmx_raw kvm_host = {
    .msr = {0x00d8100011e57ed0, 0x0000007f00000016, 0xfff9fffe0401e172, 0x007fefff00036dff,
            0x0000d3ff000011ff, 0x0000000020000065, 0x0000000080000021, 0x00000000ffffffff,
            0x0000000000002000, 0x0000000000772fff, 0x000000000000002e, 0x021378ff00000000,
            0x00000f0106334041, 0x0000007f00000016, 0xfff9fffe04006172, 0x007fefff00036dfb,
            0x0000d3ff000011fb, 0x0000000000000001},
    .feature_control = 5,
    .signature = 0x000906ed,
    .vmx = true,
    .hypervisor = true,
    .long_mode = true,
    .no_execute = true,
    .physical_bits = 39,
    .linear_bits = 48,
};

static const struct vmx_raw virtualbox = {
    .msr = {0x00d8100000000001, 0x0000003f00000016, 0xf7f9fffe0401e172, 0x003befff00036dff,
            0x0000d3ff000011ff, 0x00000000400401e5, 0x0000000080000021, 0x00000000ffffffff,
            0x0000000000002000, 0x00000000003727ff, 0x000000000000002e, 0x000014ef00000000,
            0x00000f0106114141, 0x0000003f00000016, 0xf7f9fffe04006172, 0x003befff00036dfb,
            0x0000d3ff000011fb, 0x0000000000000000},
    .feature_control = 5,
    .signature = 0x000906ed,
    .vmx = true,
    .hypervisor = true,
    .long_mode = true,
    .no_execute = true,
    .physical_bits = 39,
    .linear_bits = 48,
};

static inline struct vmx_capabilities decoded(const struct vmx_raw *raw)
{
    struct vmx_capabilities capabilities = {.raw = *raw};
    capabilities_decode(&capabilities);
    return capabilities;
}
