// News of a VM. Told by the machine half, read by QMP's sessions.

#include "vm/news.h"

void news_add(struct news *news, const struct news_item *item)
{
    spin_lock(&news->lock);
    news->kept[news->count++ % NEWS_KEPT] = *item;
    for (struct news_reader *reader = news->readers; reader; reader = reader->next)
        reader->wake(reader);
    spin_unlock(&news->lock);
}

void news_attach(struct news *news, struct news_reader *reader)
{
    spin_lock(&news->lock);
    reader->position = news->count;
    reader->next = news->readers;
    news->readers = reader;
    spin_unlock(&news->lock);
}

void news_detach(struct news *news, struct news_reader *reader)
{
    spin_lock(&news->lock);
    struct news_reader **link = &news->readers;
    while (*link && *link != reader)
        link = &(*link)->next;
    if (*link)
        *link = reader->next;
    spin_unlock(&news->lock);
}

bool news_read(struct news *news, struct news_reader *reader, struct news_item *item,
               uint64_t *missed)
{
    spin_lock(&news->lock);
    uint64_t oldest = news->count - MIN(news->count, NEWS_KEPT);
    *missed = oldest - MIN(oldest, reader->position);
    reader->position += *missed;
    bool is_there = reader->position < news->count;
    if (is_there)
        *item = news->kept[reader->position++ % NEWS_KEPT];
    spin_unlock(&news->lock);
    return is_there;
}
