// monitor/memory.c: x and xp, whose formats are those of QEMU's monitor.

#include "tests/unit/support.h"

#include "tests/unit/desk.h"

#define TABLE UINT64_C(0x1000)

static int reset(void **state)
{
    desk_reset();
    return 0;
}

static void assert_says(const char *command, const char *expected)
{
    assert_string_equal(desk_run(command), expected);
}

static void put(uint64_t at, const void *bytes, size_t length)
{
    memcpy(desk.vm[0].ram + at, bytes, length);
}

static void units_have_sizes_and_formats(void **state)
{
    static const uint8_t bytes[] = {0x01, 0x80, 0xff, 0x7f, 0xfe, 0xff, 0xff, 0xff,
                                    0x61, 0x0a, 0x27, 0x5c, 0x00, 0x00, 0x00, 0x80};
    put(0x10, bytes, sizeof(bytes));
    assert_says("xp 0x10", "0000000000000010: 0x7fff8001\n");
    assert_says("xp/2xg 16", "0000000000000010: 0xfffffffe7fff8001 0x800000005c270a61\n");
    assert_says("xp /4xb 0x10", "0000000000000010: 0x01 0x80 0xff 0x7f\n");
    assert_says("xp/2dh 0x10", "0000000000000010: -32767  32767\n");
    assert_says("xp/1uh 0x10", "0000000000000010:  32769\n");
    assert_says("xp/1dw 0x14", "0000000000000014:          -2\n");
    assert_says("xp/1ug 0x10", "0000000000000010: 18446744067267067905\n");
    assert_says("xp/1dg 0x10", "0000000000000010:          -6442483711\n");
    assert_says("xp/1ob 0x11", "0000000000000011: 0200\n");
    assert_says("xp/1ow 0x10", "0000000000000010: 017777700001\n");
    assert_says("xp/4c 0x18", "0000000000000018: 'a' '\\x0a' '\\'' '\\\\'\n");
}

static void lines_hold_sixteen_bytes(void **state)
{
    assert_says("xp/5xw 0", "0000000000000000: 0x00000000 0x00000000 0x00000000 0x00000000\n"
                            "0000000000000010: 0x00000000\n");
}

static void strings_end_at_their_nul(void **state)
{
    put(0x100, "one\0tw\"o\t", 10);
    assert_says("xp/2s 0x100", "0000000000000100: \"one\"\n0000000000000104: \"tw\\\"o\\x09\"\n");
    memset(desk.vm[0].ram + 0x200, 'x', 300);
    desk_run("xp/s 0x200");
    assert_non_null(strstr(desk.text, "xxx\"...\n"));
    assert_int_equal(strlen(desk.text), strlen("0000000000000200: \"\"...\n") + 256);
    memset(desk.vm[0].ram + DESK_RAM - 2, 'z', 2);
    assert_says("xp/s 0x1ffe", "0000000000001ffe: \"zz\"\n"
                               "guest-physical address 0x2000 is not in this VM's RAM\n");
}

static void what_is_not_ram_is_said(void **state)
{
    assert_says("xp 0x2000", "guest-physical address 0x2000 is not in this VM's RAM\n");
    assert_says("xp/3xw 0x1ff8", "0000000000001ff8: 0x00000000 0x00000000\n"
                                 "guest-physical address 0x2000 is not in this VM's RAM\n");
    assert_says("xp/1xg 0x1ffc", "guest-physical address 0x1ffc is not in this VM's RAM\n");
    assert_says("xp 0xffffffffffffffff",
                "guest-physical address 0xffffffffffffffff is not in this VM's RAM\n");
}

static void formats_are_checked(void **state)
{
    assert_says("xp/4096s 0x1fff", "0000000000001fff: \"\"\n"
                                   "guest-physical address 0x2000 is not in this VM's RAM\n");
    assert_says("xp/4097x 0", "a count is 1 to 4096\n");
    assert_says("xp/0x 0", "a count is 1 to 4096\n");
    assert_says("xp/99999999999999999999x 0", "a count is 1 to 4096\n");
    assert_says("xp/4q 0", "q: a format is x, d, u, o, c or s; a size b, h, w or g\n");
    assert_says("xp/4i 0", "there is no disassembler here: look at the bytes with /16xb\n");
    assert_says("xp", "xp needs more: xp [/COUNT FORMAT SIZE] address\n");
}

static void addresses_are_numbers_and_registers(void **state)
{
    struct vcpu *vcpu = &desk.vm[0].vcpu[0];
    vcpu->gpr[RSP] = 0x100;
    vcpu->gpr[R10] = 0x20;
    vcpu->rip = 0x40;
    vcpu->cr3 = 0x1000;
    assert_says("xp/1xb $rsp", "0000000000000100: 0x00\n");
    assert_says("xp/1xb $rsp+$r10-0x8", "0000000000000118: 0x00\n");
    assert_says("xp/1xb $pc+2", "0000000000000042: 0x00\n");
    assert_says("xp/1xb $rip", "0000000000000040: 0x00\n");
    assert_says("xp/1xb $cr3", "0000000000001000: 0x00\n");
    static const char *const wrong[] = {"xp $",   "xp $eip", "xp 1+",    "xp 12ab",
                                        "xp 1*2", "xp /x",   "xp $rsp2", "xp 1 2"};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_non_null(strstr(desk_run(wrong[i]), "an address is a number or a register"));
}

// One page table: linear 0xffff800000003000 is physical 0x0, for users only under SMAP.
static void map(void)
{
    struct vcpu *vcpu = &desk.vm[0].vcpu[0];
    vcpu->cr0 = CR0_PE | CR0_PG;
    vcpu->cr4 = CR4_PAE | CR4_SMAP;
    vcpu->efer = EFER_LME | EFER_LMA;
    vcpu->cr3 = TABLE;
    vcpu->rflags = RFLAGS_FIXED;
    vcpu->cr2 = 0x5555;
    // Every level is the same table: entries 256, 0, 0 and 3 of it.
    uint64_t table = TABLE | 7, page = 0 | 7;
    put(TABLE + 256 * 8, &table, 8);
    put(TABLE, &table, 8);
    put(TABLE + 3 * 8, &page, 8);
}

static void linear_addresses_go_through_the_guests_tables(void **state)
{
    map();
    put(0x10, "hello", 6);
    uint8_t before[DESK_RAM];
    memcpy(before, desk.vm[0].ram, DESK_RAM);
    assert_says("x/s 0xffff800000003010", "ffff800000003010: \"hello\"\n");
    assert_says("x 0xffff800000004000",
                "linear address 0xffff800000004000 is not mapped by the page tables of vCPU 0\n");
    assert_says("x 0x8000000000000000",
                "linear address 0x8000000000000000 is not mapped by the page tables of vCPU 0\n");
    // The guest must not notice: no accessed bits, no fault.
    assert_memory_equal(before, desk.vm[0].ram, DESK_RAM);
    assert_int_equal(desk.vm[0].vcpu[0].cr2, 0x5555);
    assert_false(desk.vm[0].vcpu[0].cr2_dirty);
}

static void the_chosen_vcpus_tables_are_meant(void **state)
{
    map();
    put(0x10, "hello", 6);
    desk_run("cpu 1"); // paging is off there
    assert_says("x/s 0x10", "0000000000000010: \"hello\"\n");
    assert_says("x/s 0xffff800000003010",
                "linear address 0xffff800000003010 is guest-physical 0xffff800000003010, "
                "which is not in this VM's RAM\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(units_have_sizes_and_formats, reset),
        cmocka_unit_test_setup(lines_hold_sixteen_bytes, reset),
        cmocka_unit_test_setup(strings_end_at_their_nul, reset),
        cmocka_unit_test_setup(what_is_not_ram_is_said, reset),
        cmocka_unit_test_setup(formats_are_checked, reset),
        cmocka_unit_test_setup(addresses_are_numbers_and_registers, reset),
        cmocka_unit_test_setup(linear_addresses_go_through_the_guests_tables, reset),
        cmocka_unit_test_setup(the_chosen_vcpus_tables_are_meant, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
