// Where saved states go to, and come from. Called by control/domain_work.c and the monitor.

#include "control/saving.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "control/instance_inputs.h"
#include "control/networks.h"
#include "control/save.h"
#include "drivers/host/console/debugport.h"
#include "lib/log.h"
#include "mm/tables/frames.h"

#define PROGRESS (UINT64_C(16) << 20) // bytes between two words of it

// ---- out ----

struct vm_writer {
    struct saved_writer writer;
    struct domain *domain;
    uint64_t told;
};

static bool stands_still(struct domain *domain)
{
    return domain_life(domain).state == LIFE_PAUSED;
}

static bool put_to_port(struct saved_writer *writer, const void *bytes, uint64_t length)
{
    debugport_put(bytes, length);
    return true;
}

// Waits for room, but looks now and then whether somebody has let the VM go on.
static bool put_to_stream(struct saved_writer *writer, const void *bytes, uint64_t length)
{
    struct domain *domain = CONTAINER_OF(writer, struct vm_writer, writer)->domain;
    for (uint64_t done = 0; done < length;) {
        if (!domain->saved_to || !stands_still(domain))
            return false;
        uint64_t given =
            stream_give(domain->saved_to, (const uint8_t *)bytes + done, length - done);
        done += given;
        if (!given)
            task_wait(rdtsc() + host_tsc_hz);
    }
    return true;
}

// Nobody lets it go on meanwhile, resets it or ends it.
static bool pause_writing(struct saved_writer *writer)
{
    struct vm_writer *to = CONTAINER_OF(writer, struct vm_writer, writer);
    if (writer->written - to->told >= PROGRESS) {
        to->told = writer->written;
        log_info("[%s] saving: %lu MiB\n", to->domain->config->name, writer->written >> 20);
    }
    task_pause();
    return stands_still(to->domain);
}

status_t saving_order(struct domain *domain, struct stream_end *to, struct explanation *why)
{
    enum life_state state = domain_life(domain).state;
    if (domain->is_saving)
        return explain(why, STATUS_INVALID, "%s is being saved already", domain->config->name);
    if (state != LIFE_RUNNING && state != LIFE_PAUSED)
        return explain(why, STATUS_INVALID, "%s does not run", domain->config->name);
    if (!to && !debugport_is_there())
        return explain(why, STATUS_NOT_FOUND,
                       "a VM is saved to the debug port of an emulator: this machine has none");
    domain->is_saving = true;
    domain->saved_to = to;
    task_wake(&domain->task);
    return STATUS_OK;
}

static void save(struct domain *domain)
{
    struct vm *vm = &domain->instance->vm;
    bool is_port = !domain->saved_to;
    struct vm_writer to = {
        {.put = is_port ? put_to_port : put_to_stream, .pause = pause_writing}, domain, 0};
    struct explanation why;
    networks_disconnect(domain->networks, vm); // nobody writes into it
    if (domain_post(domain, LIFE_HOLD) != STATUS_OK ||
        domain_post(domain, LIFE_RELEASE) != STATUS_OK)
        return;
    debugport_claim(is_port);
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
    domain->saved_to = NULL;
    if (ran && domain_life(domain).state == LIFE_PAUSED)
        (void)domain_post(domain, LIFE_RESUME);
}

// ---- in ----

struct vm_reader {
    struct saved_reader reader;
    struct domain *domain;
    struct image image; // where it comes from, if not by a stream
};

static bool get_from_module(struct saved_reader *reader, void *to, uint64_t length)
{
    struct vm_reader *from = CONTAINER_OF(reader, struct vm_reader, reader);
    if (length > from->image.size - reader->read)
        return false;
    memcpy(to, from->image.bytes + reader->read, length);
    return true;
}

static bool get_from_stream(struct saved_reader *reader, void *to, uint64_t length)
{
    struct domain *domain = CONTAINER_OF(reader, struct vm_reader, reader)->domain;
    for (uint64_t done = 0; done < length;) {
        if (!domain->restored_from || domain->instance->is_called_off)
            return false;
        uint64_t taken = stream_take(domain->restored_from, (uint8_t *)to + done, length - done);
        done += taken;
        if (!taken && stream_is_at_end(domain->restored_from))
            return false;
        if (!taken)
            task_wait(rdtsc() + host_tsc_hz);
    }
    return true;
}

static bool pause_reading(struct saved_reader *reader)
{
    struct vm_reader *from = CONTAINER_OF(reader, struct vm_reader, reader);
    task_pause();
    return !from->domain->instance->is_called_off;
}

status_t saving_order_restore(struct domain *domain, struct stream_end *from,
                              struct explanation *why)
{
    if (domain->restored_from || domain_life(domain).state != LIFE_ABSENT)
        return explain(why, STATUS_INVALID, "%s has not ended", domain->config->name);
    domain->restored_from = from;
    return STATUS_OK;
}

bool saving_restores(const struct domain *domain)
{
    return domain->restored_from || (domain->config->restore[0] && !domain->has_restored);
}

static status_t restore_from(struct vm_reader *from, struct explanation *why)
{
    struct domain *domain = from->domain;
    bool is_stream = domain->restored_from;
    const char *name = is_stream ? "a stream" : domain->config->restore;
    from->reader.get = is_stream ? get_from_stream : get_from_module;
    from->reader.pause = pause_reading;
    status_t status = is_stream
                          ? STATUS_OK
                          : inputs_find_file(domain->config, "restore", 0, name, &from->image, why);
    if (status == STATUS_OK)
        status = save_read(domain, &from->reader, name, why);
    domain->has_restored |= !is_stream;
    domain->restored_from = NULL;
    if (status == STATUS_OK)
        log_info("corbel: VM %s goes on from %s\n", domain->config->name, name);
    return status;
}

status_t saving_restore(struct domain *domain, struct explanation *why)
{
    unsigned owner = domain->instance->vm.id;
    const uint64_t size = align_up(sizeof(struct vm_reader), PAGE_SIZE);
    struct vm_reader *from = frames_allocate(size, PAGE_SIZE, owner);
    if (!from)
        return config_explain(why, STATUS_NO_MEMORY, domain->config, "restore", "no memory for it");
    memset(from, 0, size);
    from->domain = domain;
    status_t status = restore_from(from, why);
    memset(from, 0, size);
    frames_free(from, size, owner);
    return status;
}

// ---- the stream's other owner ----

bool saving_goes_on(struct domain *domain, const struct stream_end *stream)
{
    bool is_wanted = domain->saved_to == stream || domain->restored_from == stream;
    if (is_wanted)
        task_wake(&domain->task);
    return is_wanted;
}

void saving_forget(struct domain *domain, const struct stream_end *stream)
{
    if (domain->saved_to == stream)
        domain->saved_to = NULL;
    if (domain->restored_from == stream)
        domain->restored_from = NULL;
    task_wake(&domain->task);
}
