// A session with Debian's gdb at the other end: this program, started by gdb as its target, serves
// a VM of two vCPUs that executes a few instructions.
#define _GNU_SOURCE // popen, readlink
#include <poll.h>
#include <unistd.h>

#include "tests/unit/gdb_client.h"

#define CODE    0x100
#define INC     0x102 // where the code increments COUNTER
#define COUNTER 0x800

// nop; nop; incb COUNTER; jmp CODE
static const uint8_t code[] = {0x90, 0x90, 0xfe, 0x04, 0x25, 0x00, 0x08, 0x00, 0x00, 0xeb, 0xf5};

// ---- the target ----

// The debug registers that an access of this kind (DR7.R/Wn) to a byte meets.
static uint64_t met(const struct vcpu *vcpu, uint64_t at, unsigned kind)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 4; i++)
        if ((vcpu->dr7 >> (2 * i) & 3) && vcpu->dr[i] == at &&
            ((vcpu->dr7 >> (16 + 4 * i) & 3) | (kind & 2)) == kind)
            bits |= BIT(i);
    return bits;
}

// One instruction.
static void execute(struct vcpu *vcpu)
{
    const uint8_t *ram = WEB.ram;
    uint64_t hit = met(vcpu, vcpu->rip, 0);
    if (hit && debugged_db(vcpu, hit))
        return;
    switch (ram[vcpu->rip]) {
    case 0xcc:
        assert_true(debugged_int3(vcpu));
        return;
    case 0x90:
        vcpu->rip++;
        break;
    case 0xeb:
        vcpu->rip += 2 + (uint64_t)(int8_t)ram[vcpu->rip + 1];
        break;
    default:
        assert_memory_equal(ram + vcpu->rip, code + 2, 7);
        vcpu->rip += 7;
        WEB.ram[COUNTER]++;
        hit = met(vcpu, COUNTER, 1);
    }
    if (hit && debugged_db(vcpu, hit))
        return;
    if (vcpu->dirty & STATE_STEP)
        debugged_step(vcpu, true);
}

static void run_vcpus(void)
{
    for (unsigned i = 0; i < 100 && !WEB.paused; i++)
        for (unsigned j = 0; j < 2; j++)
            if (WEB.vcpu[j].activity == ACTIVITY_ACTIVE) {
                WEB.vcpu[j].fetched = STATE_ALL;
                execute(&WEB.vcpu[j]);
            }
}

static int serve(unsigned bits)
{
    struct stream_end *end = &client.stream.end[0];
    uint8_t bytes[1024];
    client_reset();
    memcpy(WEB.ram + CODE, code, sizeof(code));
    for (unsigned i = 0; i < 2; i++) {
        WEB.vcpu[i].rip = CODE;
        WEB.vcpu[i].efer = bits == 64 ? EFER_LMA : 0;
        WEB.vcpu[i].segment[CS].access = bits == 64 ? AR_LONG : bits == 32 ? AR_DB : 0;
        WEB.vcpu[i].gpr[RBX] = 0xabcdef;
        client.fpu[i].registers[132] = 0x42; // xmm0
    }
    for (ssize_t length = 1; length;) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&in, 1, WEB.paused ? 100 : 0) > 0) {
            length = read(STDIN_FILENO, bytes, sizeof(bytes));
            assert_true(length >= 0);
            assert_int_equal(stream_give(end, bytes, (uint64_t)length), length);
        }
        client_run();
        run_vcpus();
        uint64_t out = stream_take(end, bytes, sizeof(bytes));
        assert_int_equal(write(STDOUT_FILENO, bytes, out), out);
    }
    return 0;
}

// ---- gdb ----

static const char *ask_gdb(const char *target, const char *const *commands)
{
    static char command[8192], said[65536];
    char program[512];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    assert_true(length > 0);
    program[length] = 0;
    size_t used = (size_t)snprintf(command, sizeof(command),
                                   "timeout 50 gdb -nx -batch -iex 'set pagination off' "
                                   "-ex 'target remote | %s %s'",
                                   program, target);
    for (; *commands; commands++)
        used += (size_t)snprintf(command + used, sizeof(command) - used, " -ex '%s'", *commands);
    snprintf(command + used, sizeof(command) - used, " 2>&1");
    FILE *gdb = popen(command, "r");
    assert_non_null(gdb);
    said[fread(said, 1, sizeof(said) - 1, gdb)] = 0;
    if (pclose(gdb) != 0)
        fail_msg("gdb failed: %s", said);
    return said;
}

// Each of these stands in the text, one behind the other.
static void check_says(const char *said, const char *const *words)
{
    const char *at = said;
    for (; *words; words++) {
        const char *found = strstr(at, *words);
        if (!found)
            fail_msg("no \"%s\" in: %s", *words, at);
        at = found + strlen(*words);
    }
}

#define SESSION(target, commands, ...)                                                             \
    check_says(ask_gdb(target, (const char *const[]){commands, NULL}),                             \
               (const char *const[]){__VA_ARGS__, NULL})
#define AND ,

static void gdb_looks_at_a_64_bit_guest(void **state)
{
    SESSION("64",
            "info registers rbx rip eflags cs" AND "p $xmm0" AND "p/x $cr0" AND "info threads" AND
            "x/3i 0x100" AND "set $rax = 7" AND "p $rax" AND "set var *(char *)0x900 = 9" AND
            "x/2xb 0x900" AND "show architecture",
            "rbx            0xabcdef", "rip            0x100", "eflags", "cs             0x0",
            "= 66", "= 0x0", "* 1    Thread 1 (vCPU 0: running)", "2    Thread 2", "nop",
            "incb   0x800", "= 7", "0x09\t0x00", "\"i386:x86-64\"");
}

static void gdb_describes_guests_before_long_mode(void **state)
{
    SESSION("32",
            "info registers ebx eip" AND "x/1i $eip" AND "show architecture" AND "p $xmm7" AND
            "set var *(int *)0x900 = 0xe920558b" AND "x/1i 0x900",
            "ebx            0xabcdef", "eip            0x100", "nop", "\"i386\"", "= 0",
            "mov    0x20(%ebp),%edx");
    SESSION("16",
            "show architecture" AND "set var *(int *)0x900 = 0xe920558b" AND "x/1i 0x900" AND
            "p $eip" AND "stepi" AND "hbreak *0x109" AND "continue" AND "p $eip",
            "\"i8086\"", "mov    0x20(%di),%dx", "0x100", "0x00000101", "Breakpoint 1", "0x109");
}

static void gdb_stops_at_breakpoints_and_steps(void **state)
{
    SESSION("64",
            "break *0x102" AND "continue" AND "x/1xb 0x102" AND "stepi" AND "stepi" AND "p $rip" AND
            "continue" AND "delete" AND "hbreak *0x101" AND "continue" AND "info threads" AND
            "delete" AND "set var *(char *)0x800 = 5" AND "watch *(char *)0x800" AND "continue" AND
            "continue" AND "delete" AND "awatch *(char *)0x800" AND "continue" AND "delete" AND
            "detach",
            "hit Breakpoint 1, 0x0000000000000102", "0xfe", "0x0000000000000109",
            "0x0000000000000100", "hit Breakpoint 1", "hit Breakpoint 2, 0x0000000000000101",
            "hit Hardware watchpoint 3", "Old value = 5", "New value", "Old value", "New value",
            "Hardware access", "detached]");
}

static void gdb_steps_one_thread_alone(void **state)
{
    SESSION("64",
            "set scheduler-locking on" AND "thread 2" AND "stepi" AND "stepi" AND "stepi" AND
            "p $rip" AND "thread 1" AND "p $rip" AND "kill",
            "Switching to thread 2", "= (void (*)()) 0x109", "Switching to thread 1",
            "= (void (*)()) 0x100", "killed]");
}

static void gdb_interrupts_a_guest_that_runs(void **state)
{
    SESSION("64",
            "python import threading, os, signal; threading.Timer(1, lambda: "
            "os.kill(os.getpid(), signal.SIGINT)).start()" AND "continue" AND "p 1+1",
            "received signal SIGINT", "= 2");
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gdb_looks_at_a_64_bit_guest),
        cmocka_unit_test(gdb_describes_guests_before_long_mode),
        cmocka_unit_test(gdb_stops_at_breakpoints_and_steps),
        cmocka_unit_test(gdb_steps_one_thread_alone),
        cmocka_unit_test(gdb_interrupts_a_guest_that_runs),
    };
    return count > 1 ? serve((unsigned)atoi(words[1])) : cmocka_run_group_tests(tests, NULL, NULL);
}
