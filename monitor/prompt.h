// The operator's prompt: bytes come in from the multiplexer, lines go to the monitor's commands,
// text goes out to the multiplexer.
#pragma once

#include "monitor/line.h"
#include "monitor/monitor.h"

#define PROMPT_BUFFER 512

struct prompt {
    struct monitor monitor; // its printer collects pieces for `to`
    struct printer *to;     // the terminal; each write is a piece of a line or several lines
    char buffer[PROMPT_BUFFER];
    size_t buffered;
    struct line line;
};

void prompt_init(struct prompt *prompt, const struct monitor_host *host, struct printer *to);

// It comes into focus, from the console of a slot.
void prompt_enter(struct prompt *prompt, unsigned slot);

// Something was printed over its line.
void prompt_redraw(struct prompt *prompt);

// A byte from the keyboard.
void prompt_type(struct prompt *prompt, uint8_t byte);
