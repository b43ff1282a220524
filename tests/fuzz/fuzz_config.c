// Any bytes as vms.conf: the VMs that come out are within their bounds, and every error is a line
// of text.

#include <stdlib.h>
#include <string.h>

#include "vm/config.h"
#include "vm/feature.h"

static struct vm_config vms[4];
static struct config_errors errors;

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned count = 99;
    status_t status =
        config_parse((const char *)data, size, vms, ARRAY_LENGTH(vms), &count, &errors);
    require((status == STATUS_OK) == (errors.count == 0));
    require(count <= ARRAY_LENGTH(vms) && errors.count <= CONFIG_ERRORS);
    for (unsigned i = 0; i < errors.count; i++)
        require(strncmp(errors.error[i].text, "vms.conf:", 9) == 0);
    for (unsigned i = 0; i < count; i++) {
        require(vms[i].name[0] && strnlen(vms[i].name, CONFIG_NAME) < CONFIG_NAME);
        require(strnlen(vms[i].cmdline, CONFIG_CMDLINE) < CONFIG_CMDLINE);
        require(strnlen(vms[i].kernel, CONFIG_PATH) < CONFIG_PATH);
        require(vms[i].cpus >= 1 && vms[i].cpus <= CONFIG_CPUS);
        require(vms[i].memory >= 1 << 20 && vms[i].memory % 4096 == 0);
        require(vms[i].module_count <= CONFIG_MODULES && vms[i].pin_count <= CONFIG_CPUS);
        require(vms[i].feature_count <= CONFIG_FEATURES);
        for (unsigned f = 0; f < vms[i].feature_count; f++)
            require(vms[i].feature[f].index < cpu_feature_count);
        for (unsigned j = 0; j < i; j++)
            require(strcmp(vms[i].name, vms[j].name) != 0);
    }
    return 0;
}
