// A disk under load, verified: a thread on each CPU writes and reads its own blocks in random
// order, some at a time, past the page cache. Each block says which it is and how often it was
// written, and has a checksum; a read must find the last one. At the end all is read once more.
//
//   diskload DEVICE MEBIBYTES ROUNDS   prints `PASS` and what was done, or the first block that is
//   wrong

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK   4096
#define DEPTH   8
#define THREADS 8
#define WORDS   (BLOCK / sizeof(uint64_t))

static const char *device;
static unsigned blocks, rounds; // of each thread

static void fail(const char *what, unsigned thread, unsigned block)
{
    printf("FAIL %s: thread %u, block %u\n", what, thread, block);
    exit(1);
}

static uint64_t next(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *random >> 33;
}

static uint64_t sum_of(const uint64_t *words)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 1; i < WORDS; i++)
        sum = (sum ^ words[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void fill(uint64_t *words, unsigned thread, unsigned block, uint64_t version)
{
    uint64_t random = version << 32 | thread << 24 | block;
    words[1] = (uint64_t)thread << 32 | block;
    words[2] = version;
    for (unsigned i = 3; i < WORDS; i++)
        words[i] = next(&random);
    words[0] = sum_of(words);
}

static void verify(const uint64_t *words, unsigned thread, unsigned block, uint64_t version)
{
    if (version == 0)
        return; // never written
    if (words[0] != sum_of(words))
        fail("checksum", thread, block);
    if (words[1] != ((uint64_t)thread << 32 | block) || words[2] != version)
        fail("another block, or an older one", thread, block);
}

struct worker {
    unsigned thread;
    int file;
    aio_context_t context;
    uint8_t *buffer;    // of DEPTH blocks
    uint64_t *versions; // of its blocks
};

// So many blocks, all different, at once.
static void transfer(struct worker *worker, const unsigned *block, unsigned count, int is_write)
{
    struct iocb request[DEPTH], *requests[DEPTH];
    struct io_event event[DEPTH];
    for (unsigned i = 0; i < count; i++) {
        off_t at = ((off_t)worker->thread * blocks + block[i]) * BLOCK;
        requests[i] = &request[i];
        request[i] = (struct iocb){.aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                                   .aio_fildes = (uint32_t)worker->file,
                                   .aio_buf = (uintptr_t)(worker->buffer + i * BLOCK),
                                   .aio_nbytes = BLOCK,
                                   .aio_offset = at};
    }
    if (syscall(SYS_io_submit, worker->context, count, requests) != count ||
        syscall(SYS_io_getevents, worker->context, count, count, event, NULL) != count)
        fail("submit", worker->thread, block[0]);
    for (unsigned i = 0; i < count; i++)
        if (event[i].res != BLOCK)
            fail(is_write ? "write" : "read", worker->thread, block[0]);
}

static void do_round(struct worker *worker, uint64_t *random)
{
    unsigned count = 1 + (unsigned)(next(random) % DEPTH), first = (unsigned)next(random) % blocks;
    unsigned stride = 1 + (unsigned)next(random) % (blocks / DEPTH), block[DEPTH];
    int is_write = next(random) % 2;
    for (unsigned i = 0; i < count; i++) {
        block[i] = (first + i * stride) % blocks;
        if (is_write)
            fill((uint64_t *)(void *)(worker->buffer + i * BLOCK), worker->thread, block[i],
                 ++worker->versions[block[i]]);
    }
    transfer(worker, block, count, is_write);
    for (unsigned i = 0; i < count && !is_write; i++)
        verify((uint64_t *)(void *)(worker->buffer + i * BLOCK), worker->thread, block[i],
               worker->versions[block[i]]);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = worker->thread + 1;
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET(worker->thread, &cpu);
    worker->file = open(device, O_RDWR | O_DIRECT);
    worker->versions = calloc(blocks, sizeof(uint64_t));
    if (sched_setaffinity(0, sizeof(cpu), &cpu) != 0 || worker->file < 0 || !worker->versions ||
        posix_memalign((void **)&worker->buffer, BLOCK, DEPTH * BLOCK) != 0 ||
        syscall(SYS_io_setup, DEPTH, &worker->context) != 0)
        fail("set-up", worker->thread, 0);
    for (unsigned i = 0; i < rounds; i++)
        do_round(worker, &random);
    for (unsigned block = 0; block < blocks; block++) {
        transfer(worker, &block, 1, 0);
        verify((uint64_t *)(void *)worker->buffer, worker->thread, block, worker->versions[block]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (argc != 4 || cpus > THREADS)
        return 2;
    device = argv[1];
    blocks = (unsigned)atoi(argv[2]) * (1 << 20) / BLOCK / cpus;
    rounds = (unsigned)atoi(argv[3]);
    for (unsigned i = 0; i < cpus; i++) {
        workers[i].thread = i;
        if (pthread_create(&threads[i], NULL, run, &workers[i]) != 0)
            fail("thread", i, 0);
    }
    for (unsigned i = 0; i < cpus; i++)
        pthread_join(threads[i], NULL);
    printf("PASS %u threads, %u rounds each of up to %u blocks\n", cpus, rounds, DEPTH);
    return 0;
}
