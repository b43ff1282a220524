// What I/O costs a Linux guest as a whole, in ticks of the TSC: on an emulator that ticks once an
// instruction, those of kernels, drivers and hypervisor. The initramfs runs it as /autorun: the
// kernel's command line has disk=1, or server=ADDRESS for a network's client, or neither for its
// server. Prints `io NAME TICKS`, and switches the VM off.

#include "tests/bench/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <unistd.h>

uint64_t samples[SAMPLES];

void end(void)
{
    sync();
    reboot(RB_POWER_OFF);
    exit(1);
}

void fail(const char *what)
{
    perror(what);
    end();
}

static int in_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void tell(const char *name, unsigned count, unsigned requests)
{
    qsort(samples, count, sizeof(samples[0]), in_order);
    printf("io %s %lu\n", name, (unsigned long)(samples[count / 2] / requests));
    usleep(2000); // what was printed drains
}

int main(void)
{
    const char *server = getenv("server");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (getenv("disk"))
        measure_disk();
    else if (server)
        measure_network(server);
    else
        serve_network();
    end();
}
