// What a Linux guest can tell of its time beside others: it spins, with a look at every clock that
// it has before and after, then sleeps and wakes again and again. It only measures;
// cases_isolation.py judges. The initramfs runs it as /autorun: when a line is typed it begins, and
// in the end it switches the VM off.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS   8000000000L
#define SLEEPS    50
#define SLEEP_NS  20000000L
#define GAP_NS    1000000L // in which something else must have run
#define PM_TIMER  0x608
#define PM_MASK   0xffffffu
#define READ_ALL  3 // of klogctl()
#define CLEAR     5
#define LOG_BYTES (1 << 18)
#define WARNING   4 // levels up to this one are complaints

static const char *text_of(const char *path)
{
    static char text[1 << 16];
    int file = open(path, O_RDONLY);
    size_t used = 0;
    for (ssize_t length; (length = read(file, text + used, sizeof(text) - 1 - used)) > 0;)
        used += (size_t)length;
    text[used] = '\0';
    close(file);
    return text;
}

// The number that follows the first `key` in a file.
static long number_after(const char *path, const char *key)
{
    const char *found = strstr(text_of(path), key);
    return found ? atol(found + strlen(key)) : -1;
}

static long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

// The PM timer wraps after 4.7 s: it must be looked at more often.
static long pm_ticks(void)
{
    static unsigned last;
    static long total;
    unsigned value = inl(PM_TIMER) & PM_MASK;
    total += (value - last) & PM_MASK;
    last = value;
    return total;
}

static void look(const char *when)
{
    long jiffies = number_after("/proc/timer_list", "\njiffies: ");
    long clock = now(CLOCK_MONOTONIC), raw = now(CLOCK_MONOTONIC_RAW), pm = pm_ticks();
    long rtc = atol(text_of("/sys/class/rtc/rtc0/since_epoch"));
    long ticks = number_after("/proc/interrupts", "LOC:"), user, nice, system, idle, io, irq, soft,
         steal;
    sscanf(text_of("/proc/stat"), "cpu %ld %ld %ld %ld %ld %ld %ld %ld", &user, &nice, &system,
           &idle, &io, &irq, &soft, &steal);
    printf("LOOK %s clock=%ld raw=%ld jiffies=%ld pm=%ld rtc=%ld ticks=%ld steal=%ld\n", when,
           clock, raw, jiffies, pm, rtc, ticks, steal);
}

// Time in which it did not run, and the longest piece of it.
static void spin(void)
{
    long begin = now(CLOCK_MONOTONIC), last = begin, away = 0, longest = 0, back = 0;
    while (last - begin < SPIN_NS) {
        long time = now(CLOCK_MONOTONIC), gap = time - last;
        back += gap < 0;
        if (gap > GAP_NS) {
            away += gap;
            (void)pm_ticks();
        }
        longest = gap > longest ? gap : longest;
        last = time;
    }
    printf("SPUN away=%ld longest=%ld back=%ld\n", away, longest, back);
}

static void doze(void)
{
    long latest = 0;
    for (int i = 0; i < SLEEPS; i++) {
        long begin = now(CLOCK_MONOTONIC);
        nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
        long late = now(CLOCK_MONOTONIC) - begin - SLEEP_NS;
        latest = late > latest ? late : latest;
    }
    printf("DOZED latest=%ld\n", latest);
}

static void print_complaints(void)
{
    static char log[LOG_BYTES];
    int length = klogctl(READ_ALL, log, sizeof(log) - 1);
    for (char *line = strtok(length > 0 ? log : "", "\n"); line; line = strtok(NULL, "\n"))
        if (line[0] == '<' && (atoi(line + 1) & 7) <= WARNING)
            printf("COMPLAINT %s\n", line);
}

int main(void)
{
    char line[8];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (iopl(3) != 0)
        perror("iopl");
    printf("READY\n");
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    klogctl(CLEAR, NULL, 0);
    look("0");
    printf("SPINS\n");
    spin();
    look("1");
    doze();
    look("2");
    print_complaints();
    printf("UPTIME %ld\n", now(CLOCK_BOOTTIME));
    sync();
    reboot(RB_POWER_OFF);
    return 1;
}
