// A load for Linux guests with several vCPUs: threads on all of them use pages whose mapping one
// thread changes all the time, so each change is a TLB shootdown. It proves that no vCPU keeps a
// translation that is gone, and that the clock never runs backwards from one vCPU to another.
// Static, for the initramfs: shootdown SECONDS. Run by cases_linux.py.

#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FRAMES 64 // a window shows one of so many pages

static size_t page;
static unsigned threads;
static volatile atomic_ulong *window;  // shows the frame of the current generation
static volatile atomic_ulong *counter; // a word for each thread, writable now and then
static atomic_ulong generation, newest, faults, reads;
static atomic_bool done;
static __thread sigjmp_buf refused;

static void fail(const char *what, unsigned long is, unsigned long due)
{
    printf("FAIL %s: %lu, expected %lu\n", what, is, due);
    fflush(stdout);
    _exit(1);
}

static void *check(void *result, const char *what)
{
    if (result == MAP_FAILED) {
        perror(what);
        _exit(1);
    }
    return result;
}

static unsigned long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (unsigned long)time.tv_sec * 1000000000 + (unsigned long)time.tv_nsec;
}

// What another thread has published as the newest time is in the past here, too.
static void check_clock(void)
{
    unsigned long before = atomic_load(&newest), time = now();
    if (time < before)
        fail("the clock ran backwards", time, before);
    while (before < time && !atomic_compare_exchange_weak(&newest, &before, time))
        ;
}

static void on_fault(int number)
{
    (void)number;
    siglongjmp(refused, 1);
}

// Writes to the counters' page until it is read-only, then again.
static void count(unsigned thread)
{
    if (sigsetjmp(refused, 1)) {
        atomic_fetch_add(&faults, 1);
        return;
    }
    for (unsigned i = 0; i < 64; i++)
        counter[thread]++;
}

static void *use(void *argument)
{
    unsigned thread = (unsigned)(size_t)argument;
    while (!atomic_load(&done)) {
        unsigned long published = atomic_load(&generation), shown = *window;
        if (shown < published)
            fail("a page that is no longer mapped was read", shown, published);
        atomic_fetch_add(&reads, 1);
        count(thread);
        check_clock();
    }
    return NULL;
}

// Once the page is read-only, no counter in it changes.
static void check_closed(void)
{
    unsigned long before[threads];
    if (mprotect((void *)counter, page, PROT_READ))
        fail("mprotect", 1, 0);
    for (unsigned i = 0; i < threads; i++)
        before[i] = counter[i];
    for (unsigned i = 0; i < 2000; i++)
        atomic_signal_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < threads; i++)
        if (counter[i] != before[i])
            fail("a read-only page was written", counter[i], before[i]);
    if (mprotect((void *)counter, page, PROT_READ | PROT_WRITE))
        fail("mprotect", 1, 0);
}

int main(int argc, char **argv)
{
    unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 10, rounds = 0;
    page = (size_t)sysconf(_SC_PAGESIZE);
    threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    signal(SIGSEGV, on_fault);
    int file = memfd_create("frames", 0);
    if (file < 0 || ftruncate(file, (off_t)(FRAMES * page)))
        fail("memfd_create", 1, 0);
    char *frames =
        check(mmap(NULL, FRAMES * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), "mmap");
    window = check(mmap(NULL, page, PROT_READ, MAP_SHARED, file, 0), "mmap");
    counter =
        check(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    pthread_t thread[threads];
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, use, (void *)(size_t)i))
            fail("pthread_create", 1, 0);
    for (unsigned long end = now() + seconds * 1000000000; now() < end; rounds++) {
        unsigned long next = atomic_load(&generation) + 1;
        size_t frame = next % FRAMES * page;
        *(volatile unsigned long *)(frames + frame) = next;
        check(mmap((void *)window, page, PROT_READ, MAP_SHARED | MAP_FIXED, file, (off_t)frame),
              "mmap");
        atomic_store(&generation, next);
        check_closed();
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("PASS %u threads, %lu rounds, %lu reads, %lu faults\n", threads, rounds,
           (unsigned long)reads, (unsigned long)faults);
    return 0;
}
