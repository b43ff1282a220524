; The world switch: a function that returns when the guest exits.
; SDM: "VM Entries", "VM Exits"; the register file of the guest lies at the start of struct vcpu.

%include "offsets.inc"

bits 64
section .text

global vmx_resume
global vmx_launch
global vmx_exit
global vmx_resume_window
global vmx_resume_window_end
global vmx_launch_window
global vmx_launch_window_end
global vmx_not_entered

; vmx_resume, and vmx_launch after a VMCLEAR: called from run.c with the vCPU, this CPU's current one, in RBX and every other
; register but RSP given up. They return with it in RBX again, an enum enter_result in EAX, and ZF set if that is ENTER_EXITED.
; From the look at the requests to the entry an NMI must not be lost: one that comes in that window resumes at
; vmx_not_entered (arch/x86_64/traps.h), with the guest untouched.
%macro ENTER 2
%1:
    mov [rbx + VCPU_HOST_RSP], rsp
%1_window:
    cmp dword [rbx + VCPU_REQUESTS], 0
    jne vmx_not_entered
    mov rax, [rbx + 8 * 0]
    mov rcx, [rbx + 8 * 1]
    mov rdx, [rbx + 8 * 2]
    mov rbp, [rbx + 8 * 5]
    mov rsi, [rbx + 8 * 6]
    mov rdi, [rbx + 8 * 7]
    mov r8, [rbx + 8 * 8]
    mov r9, [rbx + 8 * 9]
    mov r10, [rbx + 8 * 10]
    mov r11, [rbx + 8 * 11]
    mov r12, [rbx + 8 * 12]
    mov r13, [rbx + 8 * 13]
    mov r14, [rbx + 8 * 14]
    mov r15, [rbx + 8 * 15]
    mov rbx, [rbx + 8 * 3]
    %2
%1_window_end:
    mov eax, ENTER_FAILED
    jmp not_entered
%endmacro

align 16
ENTER vmx_resume, vmresume
align 16
ENTER vmx_launch, vmlaunch

vmx_not_entered:
    mov eax, ENTER_REQUESTED
not_entered:
    mov rbx, [gs:CPU_VMX]
    mov rbx, [rbx + VMX_CURRENT]
    test eax, eax
    ret

; HOST_RSP is the address of struct vcpu: no register is needed to find it. Nothing is pushed here: NMIs and machine checks
; have stacks of their own.
align 16
vmx_exit:
    mov [rsp + 8 * 0], rax
    mov [rsp + 8 * 1], rcx
    mov [rsp + 8 * 2], rdx
    mov [rsp + 8 * 3], rbx
    mov [rsp + 8 * 5], rbp
    mov [rsp + 8 * 6], rsi
    mov [rsp + 8 * 7], rdi
    mov [rsp + 8 * 8], r8
    mov [rsp + 8 * 9], r9
    mov [rsp + 8 * 10], r10
    mov [rsp + 8 * 11], r11
    mov [rsp + 8 * 12], r12
    mov [rsp + 8 * 13], r13
    mov [rsp + 8 * 14], r14
    mov [rsp + 8 * 15], r15
    mov rbx, rsp
    mov rsp, [rbx + VCPU_HOST_RSP]
    xor eax, eax                        ; ENTER_EXITED
    ret
