// Where saved states go to, and come from. Called by control/domain_work.c and the monitor.

#include "control/saving.h"

#include "control/instance_inputs.h"
#include "control/networks.h"
#include "control/save.h"
#include "drivers/host/console/debugport.h"
#include "lib/log.h"
#include "mm/tables/frames.h"

#define PROGRESS (UINT64_C(16) << 20) // bytes between two words of it

// ---- out ----

struct debug_writer {
    struct saved_writer writer;
    struct domain *domain;
    uint64_t told;
};

static bool put(struct saved_writer *writer, const void *bytes, uint64_t length)
{
    debugport_put(bytes, length);
    return true;
}

// Nobody lets it go on meanwhile, resets it or ends it.
static bool pause(struct saved_writer *writer)
{
    struct debug_writer *to = CONTAINER_OF(writer, struct debug_writer, writer);
    if (writer->written - to->told >= PROGRESS) {
        to->told = writer->written;
        log_info("[%s] saving: %lu MiB\n", to->domain->config->name, writer->written >> 20);
    }
    task_pause();
    return domain_life(to->domain).state == LIFE_PAUSED;
}

status_t saving_order(struct domain *domain, struct explanation *why)
{
    enum life_state state = domain_life(domain).state;
    if (domain->is_saving)
        return explain(why, STATUS_INVALID, "%s is being saved already", domain->config->name);
    if (state != LIFE_RUNNING && state != LIFE_PAUSED)
        return explain(why, STATUS_INVALID, "%s does not run", domain->config->name);
    if (!debugport_is_there())
        return explain(why, STATUS_NOT_FOUND,
                       "a VM is saved to the debug port of an emulator: this machine has none");
    domain->is_saving = true;
    task_wake(&domain->task);
    return STATUS_OK;
}

static void save(struct domain *domain)
{
    struct vm *vm = &domain->instance->vm;
    struct debug_writer to = {{.put = put, .pause = pause}, domain, 0};
    struct explanation why;
    networks_disconnect(domain->networks, vm); // nobody writes into it
    if (domain_post(domain, LIFE_HOLD) != STATUS_OK ||
        domain_post(domain, LIFE_RELEASE) != STATUS_OK)
        return;
    debugport_claim(true);
    status_t status = save_write(domain, &to.writer, &why);
    debugport_claim(false);
    if (status == STATUS_OK)
        log_info("[%s] saved: %lu KiB\n", domain->config->name, to.writer.written >> 10);
    else
        log_error("[%s] not saved: %s\n", domain->config->name, why.text);
    enum life_state state = domain_life(domain).state;
    if (state == LIFE_RUNNING || state == LIFE_PAUSED)
        networks_connect(domain->networks, vm);
}

void saving_work(struct domain *domain)
{
    bool ran = domain_life(domain).state == LIFE_RUNNING;
    if ((!ran || domain_post(domain, LIFE_PAUSE) == STATUS_OK) &&
        domain_life(domain).state == LIFE_PAUSED)
        save(domain);
    domain->is_saving = false;
    if (ran && domain_life(domain).state == LIFE_PAUSED)
        (void)domain_post(domain, LIFE_RESUME);
}

// ---- in ----

struct module_reader {
    struct saved_reader reader;
    struct domain *domain;
    struct image image;
};

static bool get(struct saved_reader *reader, void *to, uint64_t length)
{
    struct module_reader *from = CONTAINER_OF(reader, struct module_reader, reader);
    if (length > from->image.size - reader->read)
        return false;
    memcpy(to, from->image.bytes + reader->read, length);
    return true;
}

static bool pause_reading(struct saved_reader *reader)
{
    struct module_reader *from = CONTAINER_OF(reader, struct module_reader, reader);
    task_pause();
    return !from->domain->instance->is_called_off;
}

bool saving_restores(const struct domain *domain)
{
    return domain->config->restore[0] && !domain->has_restored;
}

status_t saving_restore(struct domain *domain, struct explanation *why)
{
    unsigned owner = domain->instance->vm.id;
    const uint64_t size = align_up(sizeof(struct module_reader), PAGE_SIZE);
    struct module_reader *from = frames_allocate(size, PAGE_SIZE, owner);
    domain->has_restored = true;
    if (!from)
        return config_explain(why, STATUS_NO_MEMORY, domain->config, "restore", "no memory for it");
    memset(from, 0, size);
    from->reader.get = get;
    from->reader.pause = pause_reading;
    from->domain = domain;
    status_t status =
        inputs_find_file(domain->config, "restore", 0, domain->config->restore, &from->image, why);
    if (status == STATUS_OK)
        status = save_read(domain, &from->reader, why);
    memset(from, 0, size);
    frames_free(from, size, owner);
    if (status == STATUS_OK)
        log_info("corbel: VM %s goes on from %s\n", domain->config->name, domain->config->restore);
    return status;
}
