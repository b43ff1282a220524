; Tasks with a stack of their own (vmx/task.c): from one stack to another.

bits 64
section .text

global task_switch
global task_begin

; void task_switch(uint64_t *rsp): the stack pointer and *rsp change places. What a call may not change is kept on the stack
; that is left, and found on the other one.
task_switch:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rax, rsp
    mov rsp, [rdi]
    mov [rdi], rax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; Where a new stack begins: RBP(RBX), which does not return.
task_begin:
    mov rdi, rbx
    call rbp
    ud2
