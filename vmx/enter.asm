; The world switch: a function that returns when the guest exits.
; SDM: "VM Entries", "VM Exits"; the register file of the guest lies at the start of struct vcpu.

%include "offsets.inc"

bits 64
section .text

global vmx_resume
global vmx_launch
global vmx_exit
global vmx_resume_mitigated
global vmx_launch_mitigated
global vmx_exit_mitigated
global mitigations_fill_rsb
global vmx_windows

; Every register but RBX and RSP.
%macro LOAD_REGISTERS 0
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
%endmacro

; HOST_RSP is the address of struct vcpu: no register is needed to find it. Nothing is pushed here: NMIs and machine checks
; have stacks of their own.
%macro LEAVE_GUEST 0
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
%endmacro

; These are the values of vmx_vcpu.enter: called from run.c with the vCPU, this CPU's current one, in RBX and every other
; register but RSP given up. They return with it in RBX again. A VM exit clears RFLAGS: CF is set if there was none, and
; EAX is an enum enter_result then.
; From the look at the requests to the entry an NMI must not be lost: one that comes in that window resumes at
; vmx_not_entered (arch/x86_64/traps.h), with the guest untouched. The windows are listed in vmx_windows.
%macro ENTER 2
%1:
    mov [rbx + VCPU_HOST_RSP], rsp
%1_window:
    cmp dword [rbx + VCPU_REQUESTS], 0
    jne vmx_not_entered
    LOAD_REGISTERS
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
    stc
    ret

align 16
vmx_exit:
    LEAVE_GUEST
    ret

; ---- the same where speculation has to be mitigated: vmx/policy/speculation.h ----

; IA32_SPEC_CTRL := the low half at %1. Takes RAX, RCX, RDX.
%macro WRITE_SPEC_CTRL 1
    mov ecx, MSR_SPEC_CTRL
    mov eax, %1
    xor edx, edx
    wrmsr
%endmacro

; VERW is the last to touch memory: MOV leaves the flags alone.
%macro ENTER_MITIGATED 2
%1:
    mov [rbx + VCPU_HOST_RSP], rsp
%1_window:
    cmp dword [rbx + VCPU_REQUESTS], 0
    jne vmx_not_entered
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_IBRS
    jz %%ibrs_done
    WRITE_SPEC_CTRL [rbx + VCPU_SPEC_CTRL]
%%ibrs_done:
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_VERW
    LOAD_REGISTERS
    mov rbx, [rbx + 8 * 3]
    jz %%verw_done
    verw [rel data_selector]
%%verw_done:
    %2
%1_window_end:
    mov esi, ENTER_FAILED
    jmp not_entered_mitigated
%endmacro

align 16
ENTER_MITIGATED vmx_resume_mitigated, vmresume
align 16
ENTER_MITIGATED vmx_launch_mitigated, vmlaunch

vmx_not_entered_mitigated:
    mov esi, ENTER_REQUESTED
not_entered_mitigated:
    mov rbx, [gs:CPU_VMX]
    mov rbx, [rbx + VMX_CURRENT]
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_IBRS
    jz .ibrs_done
    WRITE_SPEC_CTRL [rbx + VCPU_SPEC_CTRL_HOST]
.ibrs_done:
    mov eax, esi
    stc
    ret

; A return address that is no guest's, and a trap for what runs ahead to it.
%macro RSB_ENTRY 0
    call %%next
    int3
%%next:
%endmacro

%macro FILL_RSB 0
%rep 32
    RSB_ENTRY
%endrep
    add rsp, 32 * 8
%endmacro

; The return stack comes first, then IBRS, then the branch history; no return and no indirect branch before all are done.
align 16
vmx_exit_mitigated:
    LEAVE_GUEST
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_RSB_FILL
    jz .rsb_done
    FILL_RSB
.rsb_done:
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_RSB_ONE
    jz .rsb_one_done
    RSB_ENTRY
    add rsp, 8
.rsb_one_done:
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_IBRS
    jz .ibrs_done
    WRITE_SPEC_CTRL [rbx + VCPU_SPEC_CTRL_HOST]
.ibrs_done:
    test dword [rbx + VCPU_MITIGATIONS], MITIGATION_BHB
    jz .history_done
    mov ecx, 5
    call clear_history
.history_done:
    lfence
    clc
    ret

; Taken branches until nothing of a guest's is left in the history: ECX rounds, each a call deeper.
align 64
clear_history:
    mov eax, 5
.jump:
    jmp .next
    int3
.next:
    dec eax
    jnz .jump
    dec ecx
    jz .end
    call clear_history
.end:
    ret

; void mitigations_fill_rsb(void)
mitigations_fill_rsb:
    FILL_RSB
    ret

section .rodata
align 8
vmx_windows:                            ; struct nmi_window[4]
    dq vmx_resume_window, vmx_resume_window_end, vmx_not_entered
    dq vmx_launch_window, vmx_launch_window_end, vmx_not_entered
    dq vmx_resume_mitigated_window, vmx_resume_mitigated_window_end, vmx_not_entered_mitigated
    dq vmx_launch_mitigated_window, vmx_launch_mitigated_window_end, vmx_not_entered_mitigated
data_selector: dw SELECTOR_DATA         ; of VERW: writable, or it clears nothing
