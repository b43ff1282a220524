// Which steps of a VM's life are news, and what for.
#pragma once

#include "control/state/life.h"
#include "vm/news.h"

#define LIFE_NEWS 2 // at most, of a step

// What is to be told of a step that was taken from one state to the other: how many of `items` are
// filled, all but their time. `reason` is the VM's, if it has left.
unsigned life_news(const struct life *from, const struct life *to, enum life_event event,
                   enum stop_reason reason, struct news_item items[LIFE_NEWS]);
