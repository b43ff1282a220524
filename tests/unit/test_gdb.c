// monitor/gdb*.c: a session's commands, and what becomes of the VM.
#include "tests/unit/gdb_client.h"

static int set_up(void **state)
{
    client_reset();
    return 0;
}

static int set_up_attached(void **state)
{
    client_reset();
    assert_string_equal(client_ask("?"), "T05thread:1;");
    assert_true(WEB.paused);
    return 0;
}

static void the_first_packet_stops_the_vm_and_detaching_lets_it_go(void **state)
{
    client_give("\x03+", 2); // there is nobody yet
    assert_false(WEB.paused);
    client_give("$", 1);
    assert_true(WEB.paused);
    assert_non_null(strstr(client_ask("qSupported:swbreak+;hwbreak+"), "PacketSize=1000;"));
    assert_true(WEB.paused);
    assert_ptr_equal(WEB_VCPU->debugged, &client.gdb.debugger.vcpu[0]);
    assert_string_equal(client_ask("D"), "OK");
    assert_false(WEB.paused);
    assert_null(WEB_VCPU->debugged);
    assert_string_equal(desk.asked, "pause 0;resume 0;");
}

static void registers_are_read_and_set(void **state)
{
    WEB_VCPU->gpr[RAX] = 0x1122334455667788;
    WEB_VCPU->gpr[R15] = 15;
    WEB_VCPU->efer = EFER_LMA;
    WEB_VCPU->segment[CS].selector = 8;
    client.fpu[0].mxcsr = 0x1f80;
    assert_string_equal(client_ask("p0"), "8877665544332211");
    assert_string_equal(client_ask("pf"), "0f00000000000000");
    assert_string_equal(client_ask("p12"), "08000000"); // cs
    assert_string_equal(client_ask("pff"), "E01");
    assert_int_equal(strncmp(client_ask("g"), "8877665544332211", 16), 0);
    assert_string_equal(client_ask("P0=0100000000000000"), "OK");
    assert_int_equal(WEB_VCPU->gpr[RAX], 1);
    assert_string_equal(client_ask("P7=0010000000000000"), "OK");
    assert_int_equal(WEB_VCPU->gpr[RSP], 0x1000);
    assert_true(WEB_VCPU->dirty & STATE_STACK);
    assert_string_equal(client_ask("P12=10000000"), "E01"); // a selector
    assert_int_equal(WEB_VCPU->segment[CS].selector, 8);
    assert_string_equal(client_ask("P0=01"), "E01"); // too short
    assert_string_equal(client_ask("G0200000000000000"), "OK");
    assert_int_equal(WEB_VCPU->gpr[RAX], 2);
}

static void what_an_entry_would_refuse_cannot_be_set(void **state)
{
    WEB_VCPU->efer = EFER_LMA;
    WEB_VCPU->segment[CS].access = AR_LONG;
    assert_string_equal(client_ask("P10=0000000000000080"), "E01"); // not canonical
    assert_string_equal(client_ask("P10=00000000007fffff"), "E01");
    assert_string_equal(client_ask("P10=00000000008000ff"), "E01");
    assert_string_equal(client_ask("P10=000000000080ffff"), "OK");
    assert_int_equal(WEB_VCPU->rip, 0xffff800000000000);
    WEB_VCPU->interruptibility = BLOCKING_BY_STI;
    WEB_VCPU->rflags = RFLAGS_FIXED | RFLAGS_IF;
    assert_string_equal(client_ask("P11=fffeffff"), "OK"); // VM, VIP and reserved bits stay
    assert_int_equal(WEB_VCPU->rflags & (RFLAGS_VM | RFLAGS_VIP | BIT(15)), 0);
    assert_true(WEB_VCPU->rflags & RFLAGS_CF);
    assert_true(WEB_VCPU->interruptibility & BLOCKING_BY_STI);
    assert_string_equal(client_ask("P11=02030000"), "OK"); // TF
    assert_int_equal(WEB_VCPU->interruptibility, 0);
    WEB_VCPU->interruptibility = BLOCKING_BY_STI;
    assert_string_equal(client_ask("P11=00000000"), "OK");
    assert_int_equal(WEB_VCPU->rflags, RFLAGS_FIXED);
    assert_int_equal(WEB_VCPU->interruptibility, 0);
    assert_string_equal(client_ask("P38=ffffffff"), "OK"); // mxcsr
    assert_int_equal(client.fpu[0].mxcsr, 0xffff);
    assert_true(WEB_VCPU->dirty & STATE_FPU);
}

static void memory_is_read_and_written(void **state)
{
    memcpy(WEB.ram + 0x100, "\x01\x02\xcc\x04", 4);
    assert_string_equal(client_ask("m100,4"), "0102cc04");
    assert_string_equal(client_ask("m1ffe,8"), "0000"); // as far as there is any
    assert_string_equal(client_ask("m2000,1"), "E01");
    assert_string_equal(client_ask("m100"), "E01");
    assert_string_equal(client_ask("M101,2:aabb"), "OK");
    assert_memory_equal(WEB.ram + 0x100, "\x01\xaa\xbb\x04", 4);
    assert_string_equal(client_ask("M101,2:aa"), "E01");
    assert_string_equal(client_ask_bytes("X102,3:a}\x03z", 11), "OK");
    assert_memory_equal(WEB.ram + 0x102, "a#z", 3);
    assert_string_equal(client_ask("X102,3:a"), "E01");
    assert_int_equal(strlen(client_ask("m0,fffffff")), GDB_PACKET);
}

static void breakpoints_are_hidden_from_who_reads(void **state)
{
    WEB.ram[0x200] = 0x90;
    assert_string_equal(client_ask("Z0,200,1"), "OK");
    assert_string_equal(client_ask("Z0,200,1"), "OK"); // again
    assert_int_equal(WEB.ram[0x200], 0xcc);
    assert_string_equal(client_ask("m1ff,3"), "009000");
    assert_string_equal(client_ask("M200,1:91"), "OK");
    assert_int_equal(WEB.ram[0x200], 0xcc);
    assert_string_equal(client_ask("m200,1"), "91");
    assert_string_equal(client_ask("z0,200,1"), "OK");
    assert_int_equal(WEB.ram[0x200], 0x91);
    assert_string_equal(client_ask("z0,200,1"), "E01");
    assert_string_equal(client_ask("Z0,9000,1"), "E01"); // no RAM
    assert_string_equal(client_ask("Z0,200,1"), "OK");
    WEB.ram[0x200] = 0x55; // by the guest
    assert_string_equal(client_ask("D"), "OK");
    assert_int_equal(WEB.ram[0x200], 0x55);
}

static void breakpoints_are_many_but_not_endless(void **state)
{
    char packet[32];
    for (unsigned i = 0; i <= DEBUGGER_IN_MEMORY; i++) {
        snprintf(packet, sizeof(packet), "Z0,%x,1", 0x300 + i);
        assert_string_equal(client_ask(packet), i < DEBUGGER_IN_MEMORY ? "OK" : "E01");
    }
    assert_string_equal(client_ask("?"), "T05thread:1;"); // another gdb
    for (unsigned i = 0; i <= DEBUGGER_IN_MEMORY; i++)
        assert_int_equal(WEB.ram[0x300 + i], 0);
}

static void debug_registers_are_the_debuggers_while_it_needs_them(void **state)
{
    WEB_VCPU->dr[0] = 0x7777;
    WEB_VCPU->dr7 = 0x402;
    assert_string_equal(client_ask("Z1,1000,1"), "OK");
    assert_string_equal(client_ask("Z2,2008,8"), "OK");
    assert_string_equal(client_ask("Z4,3004,4"), "OK");
    assert_string_equal(client_ask("Z3,3004,4"), ""); // reads alone: nothing can
    assert_string_equal(client_ask("Z2,2001,8"), "E01");
    assert_string_equal(client_ask("Z2,2001,3"), "E01");
    assert_string_equal(client_ask("Z1,1000,4"), "E01");
    assert_string_equal(client_ask("Z2,4000,2"), "OK");
    assert_string_equal(client_ask("Z2,5000,1"), "E01"); // there are four
    assert_int_equal(WEB_VCPU->dr[0], 0x1000);
    assert_int_equal(WEB_VCPU->dr[1], 0x2008);
    // 1: write of 8; 2: access of 4; 3: write of 2
    assert_int_equal(WEB_VCPU->dr7, 0x400 | 0xaa | 0x9ull << 20 | 0xfull << 24 | 0x5ull << 28);
    assert_int_equal(WEB_VCPU->dirty & (STATE_DR | STATE_DEBUG), STATE_DR | STATE_DEBUG);
    assert_int_equal(WEB_VCPU->debugged->guests.dr[0], 0x7777);
    assert_string_equal(client_ask("z1,1000,1"), "OK");
    assert_string_equal(client_ask("z2,2008,8"), "OK");
    assert_string_equal(client_ask("z2,2008,3"), "E01");
    assert_string_equal(client_ask("z4,3004,4"), "OK");
    assert_string_equal(client_ask("z2,4000,2"), "OK");
    assert_int_equal(WEB_VCPU->dr[0], 0x7777);
    assert_int_equal(WEB_VCPU->dr7, 0x402);
    assert_false(WEB_VCPU->debugged->is_shadowed);
}

static void threads_are_vcpus(void **state)
{
    assert_string_equal(client_ask("qfThreadInfo"), "m1,2");
    assert_string_equal(client_ask("qsThreadInfo"), "l");
    assert_string_equal(client_ask("qC"), "QC1");
    WEB.vcpu[1].gpr[RAX] = 2;
    assert_string_equal(client_ask("Hg2"), "OK");
    assert_string_equal(client_ask("p0"), "0200000000000000");
    assert_string_equal(client_ask("Hg3"), "E01");
    assert_string_equal(client_ask("Hc-1"), "OK");
    assert_string_equal(client_ask("Hgp1.1"), "OK");
    assert_string_equal(client_ask("qC"), "QC1");
    assert_string_equal(client_ask("T2"), "OK");
    assert_string_equal(client_ask("T3"), "E01");
    assert_string_equal(client_ask("qThreadExtraInfo,2"), "76435055" // "vCPU 1: running"
                                                          "20313a2072756e6e696e67");
    assert_string_equal(client_ask("qThreadExtraInfo,9"), "E01");
}

static void some_go_and_others_wait(void **state)
{
    WEB_VCPU->rip = 0x1000;
    assert_string_equal(client_ask("vCont?"), "vCont;c;C;s;S");
    assert_string_equal(client_ask("vCont;s:1"), "");
    assert_false(WEB.paused);
    assert_true(WEB_VCPU->dirty & STATE_STEP);
    assert_int_equal(WEB.vcpu[1].activity, ACTIVITY_STOPPED);
    WEB_VCPU->rip = 0x1001;
    debugged_step(WEB_VCPU, true);
    client_run();
    assert_true(WEB.paused);
    assert_string_equal(client_reply(client_heard()), "T05thread:1;");
    assert_string_equal(client_ask("vCont;s:2;c"), "");
    assert_true(WEB.vcpu[1].dirty & STATE_STEP);
    assert_int_equal(WEB.vcpu[1].activity, ACTIVITY_ACTIVE);
    assert_int_equal(WEB_VCPU->activity, ACTIVITY_ACTIVE);
    client_give("\x03", 1);
    assert_string_equal(client_reply(client_heard()), "T02thread:1;");
    assert_string_equal(client_ask("vCont;x"), "E01");
    assert_string_equal(client_ask("vCont;c:9"), "E01");
    assert_true(WEB.paused);
}

static void a_halted_vcpu_waits_on_when_the_vm_goes(void **state)
{
    WEB.vcpu[1].activity = ACTIVITY_HALTED;
    assert_string_equal(client_ask("vCont;s:1"), "");
    client_give("\x03", 1);
    (void)client_reply(client_heard());
    assert_string_equal(client_ask("c"), "");
    assert_int_equal(WEB.vcpu[1].activity, ACTIVITY_HALTED);
}

static void who_stops_is_told_with_the_reason(void **state)
{
    (void)client_ask("qSupported:swbreak+;hwbreak+");
    assert_string_equal(client_ask("Z0,200,1"), "OK");
    assert_string_equal(client_ask("Z2,3000,4"), "OK");
    assert_string_equal(client_ask("c"), "");
    WEB.vcpu[1].rip = 0x200;
    WEB.vcpu[1].fetched = STATE_ALL;
    assert_true(debugged_int3(&WEB.vcpu[1]));
    assert_true(debugged_db(WEB_VCPU, 1));
    client_run();
    assert_string_equal(client_reply(client_heard()), "T05thread:1;watch:3000;");
    assert_string_equal(client_ask("c"), ""); // at a breakpoint that is still there
    assert_false(WEB.paused);
    assert_int_equal(WEB.vcpu[1].activity, ACTIVITY_ACTIVE);
    assert_true(debugged_int3(&WEB.vcpu[1]));
    client_run();
    assert_string_equal(client_reply(client_heard()), "T05thread:2;swbreak:;");
    assert_string_equal(client_ask("c"), "");
    WEB.vcpu[0].rip = 0x201;
    assert_false(debugged_int3(WEB_VCPU)); // the guest's own
}

static void what_is_behind_an_instruction_is_not_lost(void **state)
{
    assert_string_equal(client_ask("Z2,3000,4"), "OK");
    assert_string_equal(client_ask("c"), "");
    assert_true(debugged_db(&WEB.vcpu[0], 1));
    assert_true(debugged_db(&WEB.vcpu[1], 1));
    client_run();
    assert_string_equal(client_reply(client_heard()), "T05thread:1;watch:3000;");
    assert_string_equal(client_ask("c"), "T05thread:2;watch:3000;");
    assert_true(WEB.paused);
    assert_string_equal(client_ask("c"), "");
}

static void a_vm_that_ends_ends_the_session(void **state)
{
    assert_string_equal(client_ask("Z1,1000,1"), "OK");
    assert_string_equal(client_ask("c"), "");
    WEB.ended = true;
    client_run();
    assert_string_equal(client_reply(client_heard()), "W00");
    assert_string_equal(client_ask("g"), "E01");
    assert_string_equal(client_ask("?"), "W00");
    assert_string_equal(client_ask("vMustReplyEmpty"), "");
    assert_string_equal(client_ask("qfThreadInfo"), "");
    assert_string_equal(client_ask("qThreadExtraInfo,1"), "E01");
    WEB.ended = WEB.paused = false; // another life, of which nothing is known
    memset(WEB_VCPU, 0, offsetof(struct vcpu, vm));
    WEB_VCPU->debugged = WEB.vcpu[1].debugged = NULL;
    assert_string_equal(client_ask("?"), "T05thread:1;");
    assert_int_equal(WEB_VCPU->dr[0], 0);
}

static void a_new_life_of_the_vm_is_not_taken_for_the_old_one(void **state)
{
    assert_string_equal(client_ask("Z0,200,1"), "OK");
    assert_string_equal(client_ask("c"), "");
    WEB_VCPU->debugged = NULL;
    WEB.ram[0x200] = 0xcc;
    client_run();
    assert_string_equal(client_reply(client_heard()), "W00");
    assert_int_equal(WEB.ram[0x200], 0xcc);
}

static void a_preserved_vm_is_looked_at(void **state)
{
    assert_string_equal(client_ask("c"), "");
    WEB.preserved = true;
    client_run();
    assert_string_equal(client_reply(client_heard()), "T06thread:1;");
    assert_string_equal(client_ask("m0,1"), "00");
}

static void killing_ends_the_vm(void **state)
{
    assert_string_equal(client_ask("k"), "");
    assert_non_null(strstr(desk.asked, "kill 0;"));
    assert_null(WEB_VCPU->debugged);
}

static void a_stream_that_ends_lets_the_vm_go(void **state)
{
    WEB.ram[0x200] = 0x90;
    assert_string_equal(client_ask("Z0,200,1"), "OK");
    stream_finish(&client.stream.end[0]);
    client_run();
    assert_false(WEB.paused);
    assert_int_equal(WEB.ram[0x200], 0x90);
    assert_null(WEB_VCPU->debugged);
}

static const char *run_monitor(const char *line)
{
    static char text[GDB_PACKET];
    char packet[256] = "qRcmd,";
    for (; *line; line++)
        snprintf(packet + strlen(packet), 3, "%02x", *line);
    const char *said = client_ask(packet);
    if (!strcmp(said, "OK"))
        return said;
    text[gdb_read_bytes(said, (uint8_t *)text, sizeof(text) - 1)] = 0;
    return text;
}

static void the_monitor_answers_about_this_vm(void **state)
{
    WEB_VCPU->rip = 0x1234;
    assert_non_null(strstr(run_monitor("info registers"), "RIP=0000000000001234"));
    assert_null(strstr(run_monitor("info vms"), "db")); // another one
    assert_non_null(strstr(run_monitor("kill db"), "db"));
    assert_null(strstr(desk.asked, "kill 1"));
    run_monitor("quit");
    assert_null(strstr(desk.asked, "quit"));
    assert_string_equal(run_monitor("kill web"), "OK");
    assert_non_null(strstr(desk.asked, "kill 0"));
    assert_non_null(strstr(run_monitor("nonsense"), "nonsense"));
    run_monitor("");
}

static void the_description_says_what_the_vm_is(void **state)
{
    char packet[64], whole[16384] = "";
    for (unsigned is_64 = 0; is_64 < 2; is_64++) {
        const char *part = "m";
        WEB_VCPU->efer = is_64 ? EFER_LMA : 0;
        WEB_VCPU->segment[CS].access = AR_DB;
        for (*whole = 0; *part == 'm'; strcat(whole, part + 1)) {
            snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,300",
                     strlen(whole));
            part = client_ask(packet);
            assert_true(*part == 'm' || *part == 'l');
        }
        assert_true(strstr(whole, "</target>") == whole + strlen(whole) - 9);
        assert_int_equal(strstr(whole, ">i386<") == NULL, is_64);
        assert_int_equal(strstr(whole, "\"r15\"") != NULL, is_64);
        assert_int_equal(strstr(whole, "\"eip\"") == NULL, is_64);
        unsigned registers = 0, size = 0;
        for (const char *at = whole; (at = strstr(at, "bitsize=\"")); registers++)
            size += (unsigned)strtoul(at += 9, NULL, 10) / 4;
        assert_int_equal(strlen(client_ask("g")), size); // of which gdb expects all
        snprintf(packet, sizeof(packet), "p%x", registers);
        assert_string_equal(client_ask(packet), "E01");
    }
    assert_string_equal(client_ask("qXfer:features:read:other.xml:0,300"), "");
    assert_string_equal(client_ask("qXfer:features:read:target.xml:zz"), "E00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_packet_stops_the_vm_and_detaching_lets_it_go, set_up),
        cmocka_unit_test_setup(registers_are_read_and_set, set_up_attached),
        cmocka_unit_test_setup(what_an_entry_would_refuse_cannot_be_set, set_up_attached),
        cmocka_unit_test_setup(memory_is_read_and_written, set_up_attached),
        cmocka_unit_test_setup(breakpoints_are_hidden_from_who_reads, set_up_attached),
        cmocka_unit_test_setup(breakpoints_are_many_but_not_endless, set_up_attached),
        cmocka_unit_test_setup(debug_registers_are_the_debuggers_while_it_needs_them,
                               set_up_attached),
        cmocka_unit_test_setup(threads_are_vcpus, set_up_attached),
        cmocka_unit_test_setup(some_go_and_others_wait, set_up_attached),
        cmocka_unit_test_setup(a_halted_vcpu_waits_on_when_the_vm_goes, set_up_attached),
        cmocka_unit_test_setup(who_stops_is_told_with_the_reason, set_up_attached),
        cmocka_unit_test_setup(what_is_behind_an_instruction_is_not_lost, set_up_attached),
        cmocka_unit_test_setup(a_vm_that_ends_ends_the_session, set_up_attached),
        cmocka_unit_test_setup(a_new_life_of_the_vm_is_not_taken_for_the_old_one, set_up_attached),
        cmocka_unit_test_setup(a_preserved_vm_is_looked_at, set_up_attached),
        cmocka_unit_test_setup(killing_ends_the_vm, set_up_attached),
        cmocka_unit_test_setup(a_stream_that_ends_lets_the_vm_go, set_up_attached),
        cmocka_unit_test_setup(the_monitor_answers_about_this_vm, set_up_attached),
        cmocka_unit_test_setup(the_description_says_what_the_vm_is, set_up_attached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
