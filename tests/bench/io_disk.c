// A disk's requests: reads with O_DIRECT of 4 KiB one at a time and 32 at a time, and of 1 MiB.

#define _GNU_SOURCE
#include "tests/bench/io.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DISK       "/dev/vda"
#define BLOCK      4096
#define LARGE      (1 << 20)
#define DISK_BYTES (8 << 20)
#define DEPTH      32
#define ROUNDS     400
#define WARM_UP    50 // the first ones find cold paths

static int disk;
static uint8_t *buffer; // aligned, of LARGE bytes

// Anywhere on the disk.
static off_t place(size_t size)
{
    static uint64_t random = 1;
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (off_t)((random >> 33) % (DISK_BYTES / size) * size);
}

static void read_alone(const char *name, size_t size, unsigned rounds)
{
    for (unsigned i = 0; i < WARM_UP + rounds; i++) {
        off_t at = place(size);
        uint64_t start = ticks();
        if (pread(disk, buffer, size, at) != (ssize_t)size)
            fail("read");
        if (i >= WARM_UP)
            samples[i - WARM_UP] = ticks() - start;
    }
    tell(name, rounds, 1);
}

// A batch goes in by one call and comes back by one.
static void read_together(const char *name)
{
    static struct iocb request[DEPTH], *requests[DEPTH];
    static struct io_event event[DEPTH];
    aio_context_t context = 0;
    unsigned rounds = ROUNDS / 4;
    if (syscall(SYS_io_setup, DEPTH, &context) != 0)
        fail("io_setup");
    for (unsigned i = 0; i < WARM_UP + rounds; i++) {
        for (unsigned k = 0; k < DEPTH; k++) {
            requests[k] = &request[k];
            request[k] = (struct iocb){.aio_lio_opcode = IOCB_CMD_PREAD,
                                       .aio_fildes = (uint32_t)disk,
                                       .aio_buf = (uint64_t)(uintptr_t)(buffer + k * BLOCK),
                                       .aio_nbytes = BLOCK,
                                       .aio_offset = place(BLOCK)};
        }
        uint64_t start = ticks();
        if (syscall(SYS_io_submit, context, DEPTH, requests) != DEPTH ||
            syscall(SYS_io_getevents, context, DEPTH, DEPTH, event, NULL) != DEPTH)
            fail("io_submit");
        if (i >= WARM_UP)
            samples[i - WARM_UP] = ticks() - start;
        for (unsigned k = 0; k < DEPTH; k++)
            if (event[k].res != BLOCK)
                fail("a read");
    }
    tell(name, rounds, DEPTH);
}

void measure_disk(void)
{
    disk = open(DISK, O_RDONLY | O_DIRECT);
    if (disk < 0 || posix_memalign((void **)&buffer, BLOCK, LARGE) != 0)
        fail(DISK);
    read_alone("blk_linux_4k", BLOCK, ROUNDS);
    read_together("blk_linux_batch");
    read_alone("blk_linux_1m", LARGE, ROUNDS / 4);
}
