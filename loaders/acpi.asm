; Tables that are the same for all VMs, as iasl made them.

global acpi_dsdt_uarts1
global acpi_dsdt_uarts2

section .rodata
acpi_dsdt_uarts1:
    incbin "build/dsdt-uarts1.aml"
acpi_dsdt_uarts2:
    incbin "build/dsdt-uarts2.aml"

section .note.GNU-stack noalloc noexec nowrite progbits
