; Entry points of the IDT: each pushes its vector (and a zero where the CPU pushes no error code) and meets the others in
; trap_common, which calls trap_handle(struct trap_frame *).

bits 64
section .text

extern trap_handle
global trap_stubs
global nmi_unblock
global cpu_idle
global idle_window_begin
global idle_window_end
global idle_window_resume

%assign vector 0
%rep 256
align 16
trap_stub_ %+ vector:
%if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
%else
    push 0
%endif
    push vector
    jmp trap_common
%assign vector vector + 1
%endrep

trap_common:
    cld
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call trap_handle
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq

; void nmi_unblock(void)
nmi_unblock:
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    mov ecx, cs
    push rcx
    lea rcx, [rel .unblocked]
    push rcx
    iretq
.unblocked:
    ret

; void cpu_idle(const volatile uint32_t *wake)
; An interrupt can come only after STI's shadow, in HLT; an NMI inside the window resumes behind it.
cpu_idle:
idle_window_begin:
    cmp dword [rdi], 0
    jne idle_window_resume
    sti
    hlt
idle_window_end:
idle_window_resume:
    cli
    ret

section .rodata
align 8
trap_stubs:
%assign vector 0
%rep 256
    dq trap_stub_ %+ vector
%assign vector vector + 1
%endrep
