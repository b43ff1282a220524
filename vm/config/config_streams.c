// Socket devices of VMs, and whom they may look after through them: `vsock = yes`, `control =
// web:operate db:observe`.

#include "lib/string.h"
#include "vm/config/config_parser.h"

#define CID_FIRST  3 // below are the wildcard's, the loop-back's and Corbel's
#define CID_LAST   0xfffffffeU
#define CID_CHOOSE 1 // until config_choose_cids()

static const struct span_word rights[] = {
    {"observe", RIGHT_OBSERVE}, {"operate", RIGHT_OPERATE}, {"take", RIGHT_TAKE}, {0}};

void config_set_vsock(struct config_parser *parser, const char *key, struct span value)
{
    uint64_t number;
    int is_on;
    parser->vm->cid_line = parser->line;
    if (span_means(value, config_on_off, &is_on))
        parser->vm->cid = is_on ? CID_CHOOSE : 0;
    else if (span_is_number(value, &number) && number >= CID_FIRST && number <= CID_LAST)
        parser->vm->cid = (uint32_t)number;
    else
        config_error(parser, "%s = %.*s: write yes, no, or a CID from %u to %u", key, SHOWN(value),
                     CID_FIRST, CID_LAST);
}

static void add_control(struct config_parser *parser, const char *key, struct span item)
{
    struct vm_config *vm = parser->vm;
    struct span right = item, name;
    int meaning;
    span_split(&right, ':', &name);
    if (vm->control_count == CONFIG_CONTROLS)
        config_error(parser, "%s lists more than %d VMs; remove some, or write all:observe", key,
                     CONFIG_CONTROLS);
    else if (!name.length || name.length >= CONFIG_NAME || !span_means(right, rights, &meaning))
        config_error(parser,
                     "%s: \"%.*s\": write NAME:RIGHT, of a VM or of all, and observe, operate or "
                     "take: web:operate",
                     key, SHOWN(item));
    else {
        struct config_control *control = &vm->control[vm->control_count++];
        *control = (struct config_control){.right = (enum right)meaning};
        if (!span_is(name, "all"))
            memcpy(control->name, name.at, name.length);
    }
}

void config_set_control(struct config_parser *parser, const char *key, struct span value)
{
    struct span item;
    parser->vm->control_line = parser->line;
    if (!value.length)
        config_error(parser, "%s is empty; write NAME:RIGHT, or leave the line out", key);
    while (span_cut_word(&value, &item))
        add_control(parser, key, item);
}

enum right config_right(const struct vm_config *config, const char *name)
{
    enum right right = RIGHT_NONE;
    for (unsigned i = 0; i < config->control_count; i++) {
        const struct config_control *control = &config->control[i];
        if (!control->name[0] || strcmp(control->name, name) == 0)
            right = MAX(right, control->right);
    }
    return right;
}

// ---- when all sections are known ----

static void check_control(struct config_parser *parser, const struct vm_config *vms, unsigned count)
{
    const char *name[CONFIG_VMS];
    const struct config_names names = {name, sizeof(name[0]), MIN(count, CONFIG_VMS)};
    const struct vm_config *vm = parser->vm;
    for (unsigned i = 0; i < names.count; i++)
        name[i] = vms[i].name;
    for (unsigned i = 0; i < vm->control_count; i++) {
        struct span wanted = {vm->control[i].name, strlen(vm->control[i].name)};
        if (wanted.length && config_find(&names, wanted) == names.count)
            config_unknown(parser, "control: unknown VM", wanted, wanted, &names,
                           "write the name of a [vm] section that has no errors, or all");
    }
}

void config_check_streams(struct config_parser *parser, const struct vm_config *vms, unsigned i,
                          unsigned count)
{
    const struct vm_config *vm = parser->vm;
    parser->line = vm->control_line;
    check_control(parser, vms, count);
    if (vm->control_count && !vm->cid)
        config_error(parser, "control: its programs reach Corbel by a socket device: add "
                             "vsock = yes");
    parser->line = vm->cid_line;
    for (unsigned other = 0; other < i; other++)
        if (vm->cid > CID_CHOOSE && vms[other].cid == vm->cid)
            config_error(parser, "vsock = %u: VM %s has this CID; choose another, or write yes",
                         vm->cid, vms[other].name);
}

static bool has_cid(const struct vm_config *vms, unsigned count, uint32_t cid)
{
    for (unsigned i = 0; i < count; i++)
        if (vms[i].cid == cid)
            return true;
    return false;
}

// By its place in the file, or the next that nobody has.
void config_choose_cids(struct vm_config *vms, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t cid = CID_FIRST + i;
        while (vms[i].cid == CID_CHOOSE && has_cid(vms, count, cid))
            cid++;
        if (vms[i].cid == CID_CHOOSE)
            vms[i].cid = cid;
    }
}
