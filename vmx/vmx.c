// What vmx/vmx.h declares of this machine.

#include "vmx/vmx.h"

struct vmx_cpu vmx_cpus[CPUS];
struct vmx_capabilities host_capabilities;
struct vmcs_config host_vmcs_config;
uint64_t host_tsc_hz;
