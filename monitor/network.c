// Commands about VMs' network cards.

#include "lib/string.h"
#include "monitor/commands.h"

#define CARD_NAME 64

// The cards that a word names: `web.net1`, or all of `web`.
struct cards {
    unsigned slot, first, end;
};

// Cuts `.netN` off a copy of the word. False: it has none.
static bool cut_card(char *word, uint64_t *number)
{
    char *dot = NULL;
    for (char *at = word; *at; at++)
        dot = *at == '.' ? at : dot;
    const char *digits = dot ? dot + strlen(".net") : NULL;
    if (!dot || strlen(dot) <= strlen(".net") || memcmp(dot, ".net", strlen(".net")) != 0 ||
        !args_number(&digits, number) || *digits)
        return false;
    *dot = 0;
    return true;
}

// False: there are none; said why.
static bool find_cards(struct monitor *monitor, const char *word, struct cards *cards)
{
    char name[CARD_NAME];
    uint64_t number = 0;
    format_text(name, sizeof(name), "%s", word);
    bool is_one = cut_card(name, &number);
    cards->slot = find_slot(monitor, name);
    if (cards->slot == CONFIG_VMS)
        return false;
    unsigned count = monitor->host->cards(cards->slot);
    cards->first = is_one ? (unsigned)MIN(number, count) : 0;
    cards->end = is_one ? cards->first + 1 : count;
    if (count && cards->end <= count)
        return true;
    const char *vm = monitor_vm(monitor, cards->slot).name;
    if (count)
        say(monitor, "%s has no net%lu; 'info network %s' lists its cards\n", vm, number, vm);
    else
        say(monitor, "%s has no network card; vms.conf gives it one: net = SWITCH\n", vm);
    return false;
}

// A word of a list that ends with NULL: its place, or the list's length.
static unsigned choose(const char *word, const char *const *words)
{
    unsigned i = 0;
    while (words[i] && strcmp(words[i], word) != 0)
        i++;
    return i;
}

void command_set_link(struct monitor *monitor, const struct args *args)
{
    static const char *const states[] = {"off", "on", NULL};
    unsigned state = choose(args->arg[2], states);
    struct cards cards;
    if (!states[state])
        say(monitor, "%s: a link is on or off\n", args->arg[2]);
    else if (find_cards(monitor, args->arg[1], &cards))
        for (unsigned i = cards.first; i < cards.end; i++)
            monitor->host->set_link(cards.slot, i, state);
}

void command_announce_self(struct monitor *monitor, const struct args *args)
{
    struct cards cards;
    if (find_cards(monitor, args->arg[1], &cards))
        for (unsigned i = cards.first; i < cards.end; i++)
            monitor->host->announce(cards.slot, i);
}

void command_netdump(struct monitor *monitor, const struct args *args)
{
    static const char *const orders[] = {"off", "on", "show", NULL};
    enum { OFF, ON, SHOW };
    unsigned order = choose(args->arg[2], orders);
    struct cards cards;
    if (!orders[order]) {
        say(monitor, "%s: netdump is on or off, and show prints what was captured\n", args->arg[2]);
        return;
    }
    if (!find_cards(monitor, args->arg[1], &cards))
        return;
    for (unsigned i = cards.first; i < cards.end; i++)
        if (order == SHOW)
            monitor->host->print_netdump(&monitor->printer, cards.slot, i);
        else if (monitor->host->netdump(cards.slot, i, order == ON) != STATUS_OK)
            say(monitor, "net%u: no memory for a capture\n", i);
}

void info_network(struct monitor *monitor, const struct args *args)
{
    const char *word = arg_at(args, 1);
    unsigned slot = word ? find_slot(monitor, word) : 0;
    if (slot == CONFIG_VMS)
        return;
    if (word) {
        monitor->host->print_cards(&monitor->printer, slot);
        return;
    }
    if (!monitor->rights)
        monitor->host->print_switches(&monitor->printer);
    for (; slot < CONFIG_VMS; slot++)
        if (monitor_vm(monitor, slot).state != MONITOR_NO_VM)
            monitor->host->print_cards(&monitor->printer, slot);
}
