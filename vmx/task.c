// Tasks with a stack of their own: the CPU's loop goes over to that stack for a piece, and comes
// back when the task waits or its piece has ended.

#include "vmx/task.h"

#include "arch/x86_64/tsc.h"
#include "mm/stack.h"
#include "vmx/loop.h"

#define PIECES_HZ 1000 // a piece takes so long at most: a UART's FIFO is full in 1.4 ms

// What task_switch() finds on a stack, lowest address first. Behind it RSP is a multiple of 16.
struct left {
    uint64_t r15, r14, r13, r12;
    void (*rbp)(struct task *task);
    struct task *rbx;
    void (*rip)(void);
};

// Of vmx/task.asm.
void task_switch(uint64_t *rsp);
void task_begin(void);

static struct vmx_cpu *here(void)
{
    return &vmx_cpus[this_cpu()->index];
}

// While it runs, its stack is the CPU's: a panic looks there.
static uint64_t run(struct task *task, uint64_t until)
{
    struct vmx_cpu *own = here();
    uint64_t stack_top = own->cpu->stack_top;
    own->task = task;
    own->cpu->stack_top = task->stack_top;
    task->until = MIN(until, rdtsc() + host_tsc_hz / PIECES_HZ);
    task_switch(&task->rsp);
    own->cpu->stack_top = stack_top;
    own->task = NULL;
    return task->deadline;
}

status_t task_give_stack(struct task *task)
{
    task->stack_top = stack_make(STACK_SIZE);
    if (!task->stack_top)
        return STATUS_NO_MEMORY;
    struct left *left = (struct left *)task->stack_top - 1;
    *left = (struct left){.rbp = task->main, .rbx = task, .rip = task_begin};
    task->rsp = (uintptr_t)left;
    task->run = run;
    return STATUS_OK;
}

void task_wait(uint64_t deadline)
{
    struct task *task = here()->task;
    if (!task)
        return;
    task->deadline = deadline;
    task_switch(&task->rsp);
}

void task_pause(void)
{
    const struct task *task = here()->task;
    if (task && rdtsc() >= task->until)
        task_wait(0);
}
