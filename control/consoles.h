// The consoles of the VMs and the monitor's. What a guest prints to COM1 and to a virtio console
// goes by its channel of the multiplexer to the operator's line; COM2 is the second serial line of
// the machine, which one VM may own (uart2 = yes): not multiplexed, no Ctrl-A. Corbel's own
// messages (lib/log.h) are shown in between: during the boot by whoever writes them, later by
// consoles_poll().
#pragma once

#include "monitor/mux.h"

struct uart;
struct vm;

extern struct mux consoles;

// The ports of a VM with a virtio console, on their way to its channel.
struct console_lines {
    struct vm_console com1, virtio;
    uint8_t com1_printed[1024], virtio_printed[8192];
};

// After console_init().
void consoles_init(void);

// A VM begins to run: its ports lead to its channel, which is attached (where there are several, by
// `lines`), and to the second line: the first one that asks for that keeps it as long as the
// machine runs. Says what becomes of COM2 if it gets none.
void consoles_connect(struct vm *vm, struct console_lines *lines);

// Opens another serial line, which is not to be the second one. The operator's task is woken when
// bytes come. False: none answers there.
MUST_CHECK bool consoles_open_line(struct uart *uart, uint16_t port);

// A VM is about to be taken apart.
void consoles_disconnect(struct vm *vm);

// The size of the operator's terminal, in characters: virtio consoles are told, also later ones.
void consoles_resize(uint16_t columns, uint16_t rows);

// Shows the messages that wait.
void consoles_show_log(void);

// Moves bytes both ways between guests and lines. From one CPU at a time, as the following. True:
// output is left.
bool consoles_poll(void);

// Offers the guests what was typed for them.
void consoles_give(void);

// A VM has ended: shows what it printed last. False: not all of that is out; ask again.
MUST_CHECK bool consoles_finish(struct vm *vm);
