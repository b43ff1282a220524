// The end of a VMREAD or VMWRITE that failed, and the count of all of them.

#include "vmx/instructions.h"

#include "lib/panic.h"

#ifdef COUNT
uint32_t vmx_accesses;
#endif

void vmx_access_failed(const char *instruction, uint32_t field)
{
    panic("%s of VMCS field %#x failed", instruction, field);
}
