// Orders to guest agents, and their ends.

#include "control/agents.h"

#include "arch/x86_64/tsc.h"
#include "control/instance.h"
#include "lib/log.h"

static struct guest_agent *agent_of(struct vm *vm)
{
    return &CONTAINER_OF(vm, struct instance, vm)->agent;
}

// VM time: while the VM stands still, its agent need not answer.
static uint64_t now(const struct vm *vm)
{
    return clock_ns(&vm->clock, rdtsc());
}

void agents_connect(struct vm *vm)
{
    if (!vm->traits.guest_agent)
        return;
    guest_agent_init(agent_of(vm));
    vm->console[LINE_AGENT] = &agent_of(vm)->line;
}

status_t agents_order(struct vm *vm, enum agent_order order, struct explanation *why)
{
    const char *name = vm->traits.name;
    if (!vm->traits.guest_agent)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s has no port for an agent; write guest_agent = yes in vms.conf", name);
    if (!board_line_is_open(vm, LINE_AGENT))
        return explain(why, STATUS_NOT_FOUND,
                       "no agent runs in %s; Debian has one in its package qemu-guest-agent", name);
    if (!guest_agent_order(agent_of(vm), order, now(vm)))
        return explain(why, STATUS_FULL, "%s's agent is being asked already", name);
    return STATUS_OK;
}

bool agents_power_down(struct vm *vm)
{
    return agents_order(vm, AGENT_SHUTDOWN, NULL) == STATUS_OK || board_power_button(vm);
}

void agents_attend(struct vm *vm)
{
    char answer[200];
    struct guest_agent *agent = agent_of(vm);
    enum agent_order order = agent->order;
    if (!vm->console[LINE_AGENT])
        return;
    enum agent_result result = guest_agent_attend(agent, now(vm), answer, sizeof(answer));
    if (result == AGENT_WAITS)
        return;
    log_info("[%s] guest agent: %s\n", vm->traits.name, answer);
    if (order == AGENT_SHUTDOWN && result != AGENT_DONE)
        log_info("[%s] %s\n", vm->traits.name,
                 board_power_button(vm) ? "its power button is pressed"
                                        : "it does not listen to its power button");
}
