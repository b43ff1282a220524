// A VM as an ELF core file: read by the same structures that Linux' programs have, and by gdb.

#include "tests/unit/support.h"

#include <elf.h>
#include <sys/procfs.h>
#undef PAGE_SIZE

#include "monitor/core.h"
#include "tests/ram.h"

#define PAGE 4096

static struct vm vm;
static struct vcpu vcpu[2];
static uint8_t ram[3 * PAGE];
static struct gmem_piece table[TEST_PIECES];
static uint8_t file[16 * PAGE];

static int set_up(void **state)
{
    memset(&vm, 0, sizeof(vm));
    memset(vcpu, 0, sizeof(vcpu));
    memset(file, 0xa5, sizeof(file));
    for (unsigned i = 0; i < sizeof(ram); i++)
        ram[i] = (uint8_t)(i * 7 + i / PAGE);
    ram_make(&vm.memory, table, ram, 2 * PAGE);
    gmem_add(&vm.memory, gpa(2 << 20), ram + 2 * PAGE, PAGE);
    vm.vcpu_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        vm.vcpu[i] = &vcpu[i];
        vcpu[i].id = (uint16_t)i;
        for (unsigned j = 0; j < 16; j++)
            vcpu[i].gpr[j] = 0x1000 * (i + 1) + j;
        vcpu[i].rip = 0xffffffff81000000 + i;
        vcpu[i].rflags = 0x246;
        vcpu[i].cr0 = 0x80050033;
        vcpu[i].cr2 = 2;
        vcpu[i].cr3 = 0x3000 + i;
        vcpu[i].cr4 = 4;
        vcpu[i].idtr = (struct table_register){0xfffffe0000000000, 0xfff};
        vcpu[i].segment[CS] = (struct segment){.limit = ~0U, .access = 0xa09b, .selector = 0x10};
        vcpu[i].segment[GS].base = 0xffff888000000000;
        vcpu[i].live.kernel_gs_base = 99;
    }
    return 0;
}

// By pieces of so many bytes at most.
static uint64_t write_file(uint64_t piece)
{
    uint64_t size = core_size(&vm), at = 0;
    assert_in_range(size, 1, sizeof(file));
    while (at < size) {
        uint64_t length = core_read(&vm, at, file + at, piece < size - at ? piece : size - at);
        assert_in_range(length, 1, piece);
        at += length;
    }
    return size;
}

static void the_headers_name_notes_and_memory(void **state)
{
    uint64_t size = write_file(sizeof(file));
    const Elf64_Ehdr *header = (const void *)file;
    const Elf64_Phdr *segment = (const void *)(file + header->e_phoff);
    assert_memory_equal(header->e_ident, ELFMAG, SELFMAG);
    assert_true(header->e_type == ET_CORE && header->e_machine == EM_X86_64);
    assert_true(header->e_phnum == 3 && header->e_phentsize == sizeof(*segment));
    assert_true(segment[0].p_type == PT_NOTE && segment[1].p_type == PT_LOAD);
    assert_true(segment[1].p_paddr == 0 && segment[1].p_filesz == 2 * PAGE);
    assert_true(segment[2].p_paddr == 2 << 20 && segment[2].p_memsz == PAGE);
    assert_memory_equal(file + segment[1].p_offset, ram, 2 * PAGE);
    assert_memory_equal(file + segment[2].p_offset, ram + 2 * PAGE, PAGE);
    assert_int_equal(segment[2].p_offset + PAGE, size);
}

static void each_vcpu_has_its_notes(void **state)
{
    write_file(sizeof(file));
    const Elf64_Phdr *notes = (const void *)(file + sizeof(Elf64_Ehdr));
    const uint8_t *at = file + notes->p_offset;
    for (unsigned i = 0; i < 2; i++) {
        const Elf64_Nhdr *note = (const void *)at;
        struct elf_prstatus status;
        struct user_regs_struct registers;
        memcpy(&status, at + 20, sizeof(status));
        memcpy(&registers, status.pr_reg, sizeof(registers));
        assert_true(note->n_type == NT_PRSTATUS && note->n_descsz == sizeof(status));
        assert_string_equal((const char *)(note + 1), "CORE");
        assert_int_equal(status.pr_pid, i + 1);
        assert_true(registers.rip == vcpu[i].rip && registers.eflags == 0x246);
        assert_true(registers.rsp == vcpu[i].gpr[RSP] && registers.r15 == vcpu[i].gpr[R15]);
        assert_true(registers.rdi == vcpu[i].gpr[RDI] && registers.rbx == vcpu[i].gpr[RBX]);
        assert_true(registers.cs == 0x10 && registers.gs_base == 0xffff888000000000);
        at += 20 + sizeof(status);
        note = (const void *)at;
        assert_string_equal((const char *)(note + 1), "QEMU");
        uint64_t words[55];
        assert_int_equal(note->n_descsz, sizeof(words));
        memcpy(words, at + 20, sizeof(words));
        assert_int_equal(words[0], 1 | sizeof(words) << 32); // version, size
        assert_int_equal(words[1], vcpu[i].gpr[RAX]);
        assert_int_equal(words[2], vcpu[i].gpr[RBX]);
        assert_int_equal(words[17], vcpu[i].rip);
        assert_int_equal(words[19], 0x10 | UINT64_C(0xffffffff) << 32); // CS, and its limit
        assert_int_equal(words[20], 0xa09b00);                          // as in a descriptor
        assert_int_equal(words[48], 0xfffffe0000000000);                // IDT
        assert_true(words[49] == 0x80050033 && words[51] == 2 && words[52] == vcpu[i].cr3);
        assert_true(words[53] == 4 && words[54] == 99);
        at += 20 + sizeof(words);
    }
    assert_int_equal(at - file, notes->p_offset + notes->p_filesz);
}

static void any_part_of_it_is_the_same(void **state)
{
    static uint8_t whole[sizeof(file)];
    uint64_t size = write_file(sizeof(file));
    memcpy(whole, file, size);
    for (uint64_t piece = 1; piece < 100; piece += 7) {
        memset(file, 0xa5, sizeof(file));
        write_file(piece);
        assert_memory_equal(file, whole, size);
    }
    assert_int_equal(core_read(&vm, size, file, 1), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_headers_name_notes_and_memory, set_up),
        cmocka_unit_test_setup(each_vcpu_has_its_notes, set_up),
        cmocka_unit_test_setup(any_part_of_it_is_the_same, set_up),
    };
    if (argc > 1) { // the file, to be looked at: test_core FILE
        set_up(NULL);
        FILE *out = fopen(argv[1], "wb");
        return !out || fwrite(file, write_file(1000), 1, out) != 1 || fclose(out);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
