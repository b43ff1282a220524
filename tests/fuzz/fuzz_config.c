// Any bytes as vms.conf: the VMs that come out are within their bounds, and every error is a line
// of text.

#include <string.h>

#include "vm/config/config.h"
#include "vm/cpu/feature.h"
#include "tests/fuzz/require.h"

static struct vm_config vms[4];
static struct config_switches switches;
static struct notes errors;
static const uint8_t *macs[4 * CONFIG_NETS];
static unsigned mac_count;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// It has a switch, and an address that no other card has.
static void check_net(const struct config_net *net)
{
    unsigned found = 0;
    for (unsigned i = 0; i < switches.count; i++)
        found += strcmp(net->network, switches.at[i].name) == 0;
    require(found == 1 && net->has_mac && !(net->mac[0] & 1));
    require(net->vlan < 4095 && net->trunk_count <= CONFIG_TRUNK && net->queues <= 8);
    for (unsigned i = 0; i < net->trunk_count; i++)
        require(net->trunk[i].first && net->trunk[i].first <= net->trunk[i].last);
    macs[mac_count++] = net->mac;
    for (unsigned i = 0; i + 1 < mac_count; i++)
        require(memcmp(macs[i], net->mac, 6) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned count = 99;
    mac_count = 0;
    status_t status = config_parse((const char *)data, size, vms, ARRAY_LENGTH(vms), false, &count,
                                   &switches, &errors);
    require((status == STATUS_OK) == (errors.count == 0));
    require(count <= ARRAY_LENGTH(vms) && errors.count <= NOTES_MAX);
    for (unsigned i = 0; i < errors.count; i++)
        require(strncmp(errors.line[i].text, "vms.conf:", 9) == 0);
    for (unsigned i = 0; i < count; i++) {
        require(vms[i].name[0] && strnlen(vms[i].name, CONFIG_NAME) < CONFIG_NAME);
        require(strnlen(vms[i].cmdline, CONFIG_CMDLINE) < CONFIG_CMDLINE);
        require(strnlen(vms[i].kernel, CONFIG_PATH) < CONFIG_PATH);
        require(vms[i].cpus >= 1 && vms[i].cpus <= CONFIG_CPUS);
        require(vms[i].memory >= 1 << 20 && vms[i].memory % 4096 == 0);
        require(vms[i].module_count <= CONFIG_MODULES && vms[i].pin_count <= CONFIG_CPUS);
        require(vms[i].net_count <= CONFIG_NETS);
        require(vms[i].feature_count <= CONFIG_FEATURES);
        require(vms[i].control_count <= CONFIG_CONTROLS && (vms[i].cid || !vms[i].control_count));
        require(vms[i].cid == 0 || vms[i].cid > 2);
        for (unsigned f = 0; f < vms[i].feature_count; f++)
            require(vms[i].feature[f].index < cpu_feature_count);
        for (unsigned n = 0; n < vms[i].net_count; n++)
            check_net(&vms[i].net[n]);
        for (unsigned j = 0; j < i; j++)
            require(strcmp(vms[i].name, vms[j].name) != 0 &&
                    (!vms[i].cid || vms[i].cid != vms[j].cid));
    }
    return 0;
}
