// vm/config/config_streams.c: socket devices, rights, and the line that each mistake gets.

#include "tests/unit/support.h"

#include "vm/config/config.h"

static struct vm_config vms[CONFIG_VMS];
static struct config_switches switches;
static struct notes errors;
static unsigned count;

static status_t parse(const char *text)
{
    memset(vms, 0xa5, sizeof(vms));
    return config_parse(text, strlen(text), vms, CONFIG_VMS, false, &count, &switches, &errors);
}

static void assert_error(const char *text, const char *expected)
{
    assert_int_equal(parse(text), STATUS_INVALID);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.line[0].text, expected);
}

static void a_vm_has_a_cid_by_its_place(void **state)
{
    assert_int_equal(parse("[vm a]\n[vm b]\nvsock = yes\n[vm c]\nvsock = 0x6\n[vm d]\nvsock = on\n"
                           "[vm e]\nvsock = no\n"),
                     STATUS_OK);
    assert_int_equal(vms[0].cid, 0);
    assert_int_equal(vms[1].cid, 4);
    assert_int_equal(vms[2].cid, 6);
    assert_int_equal(vms[3].cid, 7); // 6 is c's
    assert_int_equal(vms[4].cid, 0);
}

static void a_cid_is_one_vms(void **state)
{
    static const char *const wrong[] = {"", "2", "0xffffffff", "maybe", "-1"};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        char text[64], line[128];
        snprintf(text, sizeof(text), "[vm a]\nvsock = %s", wrong[i]);
        snprintf(line, sizeof(line),
                 "vms.conf:2: VM a: vsock = %s: write yes, no, or a CID from 3 to 4294967294",
                 wrong[i]);
        assert_error(text, line);
    }
    assert_error("[vm a]\nvsock = 9\n[vm b]\nvsock = 9\n[vm c]\nvsock = yes",
                 "vms.conf:4: VM b: vsock = 9: VM a has this CID; choose another, or write yes");
    assert_int_equal(count, 2);
    assert_int_equal(vms[1].cid, 4);
}

static void rights_are_by_name(void **state)
{
    assert_int_equal(parse("[vm service]\nvsock = yes\n"
                           "control = web:operate  db:take all:observe\n"
                           "[vm web]\n[vm db]\n[vm other]\n"),
                     STATUS_OK);
    assert_int_equal(config_right(&vms[0], "web"), RIGHT_OPERATE);
    assert_int_equal(config_right(&vms[0], "db"), RIGHT_TAKE);
    assert_int_equal(config_right(&vms[0], "other"), RIGHT_OBSERVE);
    assert_int_equal(config_right(&vms[0], "service"), RIGHT_OBSERVE);
    assert_int_equal(config_right(&vms[1], "service"), RIGHT_NONE);
    assert_int_equal(config_right(&vms[1], "web"), RIGHT_NONE);
    assert_int_equal(parse("[vm a]\nvsock = yes\ncontrol = b:take\n[vm b]"), STATUS_OK);
    assert_int_equal(config_right(&vms[0], "a"), RIGHT_NONE);
    assert_int_equal(config_right(&vms[0], "b"), RIGHT_TAKE);
}

static void wrong_rights_are_told_by_line(void **state)
{
    static const char *const wrong[] = {"web", "web:", "web:own", ":take"};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        char text[128], line[200];
        snprintf(text, sizeof(text), "[vm web]\n[vm a]\nvsock = yes\ncontrol = %s", wrong[i]);
        snprintf(line, sizeof(line),
                 "vms.conf:4: VM a: control: \"%s\": write NAME:RIGHT, of a VM or of all, and "
                 "observe, operate or take: web:operate",
                 wrong[i]);
        assert_error(text, line);
    }
    assert_error("[vm a]\nvsock = yes\ncontrol = ",
                 "vms.conf:3: VM a: control is empty; write NAME:RIGHT, or leave the line out");
    assert_error("[vm a]\ncontrol = all:observe",
                 "vms.conf:2: VM a: control: its programs reach Corbel by a socket device: add "
                 "vsock = yes");
    assert_error("[vm a]\nvsock = yes\ncontrol = b:observe",
                 "vms.conf:3: VM a: control: unknown VM \"b\"; write the name of a [vm] section "
                 "that has no errors, or all");
    assert_error("[vm a]\nvsock = yes\ncontrol = webb:observe\n[vm web]",
                 "vms.conf:3: VM a: control: unknown VM \"webb\"; did you mean \"web\"?");
}

static void as_many_as_there_is_room_for(void **state)
{
    char text[512] = "[vm a]\nvsock = yes\ncontrol =";
    for (unsigned i = 0; i < CONFIG_CONTROLS; i++)
        strcat(text, " a:take");
    assert_int_equal(parse(text), STATUS_OK);
    assert_error(strcat(text, " a:observe"),
                 "vms.conf:3: VM a: control lists more than 16 VMs; remove some, or write "
                 "all:observe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_has_a_cid_by_its_place),
        cmocka_unit_test(a_cid_is_one_vms),
        cmocka_unit_test(rights_are_by_name),
        cmocka_unit_test(wrong_rights_are_told_by_line),
        cmocka_unit_test(as_many_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
