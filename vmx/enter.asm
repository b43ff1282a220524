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

; enum enter_result vmx_resume(struct vcpu *vcpu, ., struct host_frame *frame), and vmx_launch after a VMCLEAR
; Called from run.c with every register but RSP and RBP given up. HOST_RSP is the frame's address and never changes; the
; frame knows the vCPU, and keeps our stack.
; From the look at the requests to the entry an NMI must not be lost: one that comes in that window resumes at
; vmx_not_entered (arch/x86_64/traps.h), with the guest untouched.
%macro ENTER 2
%1:
    push rbp
    mov [rdx + FRAME_RSP], rsp
%1_window:
    cmp dword [rdi + VCPU_REQUESTS], 0
    jne vmx_not_entered
    mov rax, [rdi + 8 * 0]
    mov rcx, [rdi + 8 * 1]
    mov rdx, [rdi + 8 * 2]
    mov rbx, [rdi + 8 * 3]
    mov rbp, [rdi + 8 * 5]
    mov rsi, [rdi + 8 * 6]
    mov r8, [rdi + 8 * 8]
    mov r9, [rdi + 8 * 9]
    mov r10, [rdi + 8 * 10]
    mov r11, [rdi + 8 * 11]
    mov r12, [rdi + 8 * 12]
    mov r13, [rdi + 8 * 13]
    mov r14, [rdi + 8 * 14]
    mov r15, [rdi + 8 * 15]
    mov rdi, [rdi + 8 * 7]
    %2
%1_window_end:
    mov eax, ENTER_FAILED
    pop rbp
    ret
%endmacro

align 16
ENTER vmx_resume, vmresume
align 16
ENTER vmx_launch, vmlaunch

vmx_not_entered:
    mov eax, ENTER_REQUESTED
    pop rbp
    ret

align 16
vmx_exit:
    push rdi
    mov rdi, [rsp + 8 + FRAME_VCPU]
    mov [rdi + 8 * 0], rax
    mov [rdi + 8 * 1], rcx
    mov [rdi + 8 * 2], rdx
    mov [rdi + 8 * 3], rbx
    mov [rdi + 8 * 5], rbp
    mov [rdi + 8 * 6], rsi
    mov [rdi + 8 * 8], r8
    mov [rdi + 8 * 9], r9
    mov [rdi + 8 * 10], r10
    mov [rdi + 8 * 11], r11
    mov [rdi + 8 * 12], r12
    mov [rdi + 8 * 13], r13
    mov [rdi + 8 * 14], r14
    mov [rdi + 8 * 15], r15
    pop qword [rdi + 8 * 7]
    mov rsp, [rsp + FRAME_RSP]
    xor eax, eax
    pop rbp
    ret
