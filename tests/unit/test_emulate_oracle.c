// The instruction emulator against libunicorn: random instructions of every kind that it knows, in
// 16-bit, 32-bit and 64-bit mode, with their memory operand in a device, in RAM or half in each.
// Registers, defined flags and memory must come out the same. Arguments: number of instructions,
// seed.

#include "tests/unit/oracle_cases.h"
#include "tests/unit/emulate.h"

static const int gpr_names[16] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};
static const int gpr_names_32[8] = {
    UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
    UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI,
};
static const int segment_names[6] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
                                     UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

static void see_exception(uc_engine *engine, uint32_t vector, void *data)
{
    struct machine *machine = data;
    machine->vector = (int)vector;
    uc_emu_stop(engine);
}

static int gpr_name(const struct machine *machine, unsigned number)
{
    return machine->bits == 64 ? gpr_names[number] : gpr_names_32[number];
}

static unsigned gpr_count(const struct machine *machine)
{
    return machine->bits == 64 ? 16 : 8;
}

static void machine_open(struct machine *machine)
{
    uc_hook hook;
    machine->memory = aligned_alloc(4096, RAM_SIZE);
    machine->code = CODE;
    assert_int_equal(uc_open(UC_ARCH_X86, machine->mode, &machine->engine), UC_ERR_OK);
    assert_int_equal(uc_mem_map_ptr(machine->engine, 0, RAM_SIZE, UC_PROT_ALL, machine->memory),
                     UC_ERR_OK);
    uc_hook_add(machine->engine, &hook, UC_HOOK_INTR, (void *)see_exception, machine, 1, 0);
    uint64_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    uc_reg_write(machine->engine, UC_X86_REG_CR4, &cr4);
}

// RAM around the device, and the same bytes in both memories.
static void guest_open(struct machine *machine)
{
    static const uint16_t selectors[6] = {0x7900, 0x1000, 0x7c00, 0x7800, 0x7a00, 0x7b00};
    if (machine->bits == 16)
        guest_real_mode();
    else
        guest_flat32();
    if (machine->bits == 64) {
        guest_long_mode();
        guest.vcpu.cr3 = LOW_TABLES;
        *guest_word(LOW_TABLES) = (LOW_TABLES + 0x1000) | PTE_P | PTE_W | PTE_A;
        *guest_word(LOW_TABLES + 0x1000) = (LOW_TABLES + 0x2000) | PTE_P | PTE_W | PTE_A;
        for (uint64_t i = 0; i < RAM_SIZE / PAGE_2M; i++)
            *guest_word(LOW_TABLES + 0x2000 + i * 8) =
                i * PAGE_2M | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
    }
    guest.vm.memory =
        (struct gmem){.count = 2,
                      .region = {{gpa(0), DEVICE, guest.ram},
                                 {gpa(DEVICE + DEVICE_SIZE), RAM_SIZE - DEVICE - DEVICE_SIZE,
                                  guest.ram + DEVICE + DEVICE_SIZE}}};
    for (unsigned i = 0; i < 6; i++) {
        uint64_t selector = selectors[i];
        if (machine->bits == 16) {
            guest.vcpu.segment[i].base = selector << 4;
            uc_reg_write(machine->engine, segment_names[i], &selector);
        }
        selector = 0;
        uc_reg_read(machine->engine, segment_names[i], &selector);
        guest.vcpu.segment[i].selector = (uint16_t)selector;
    }
    for (uint64_t at = WINDOW; at < WINDOW_END; at++)
        guest.ram[at] = (uint8_t)draw(256);
    memcpy(guest.device, guest.ram + DEVICE, DEVICE_SIZE);
    memcpy(machine->memory, guest.ram, RAM_SIZE);
    uc_context_alloc(machine->engine, &machine->fresh);
    uc_context_save(machine->engine, machine->fresh);
    uc_ctl_flush_tlb(machine->engine);
}

static void load_machine(struct machine *machine, const uint8_t bytes[15])
{
    const struct vcpu *vcpu = &guest.vcpu;
    memcpy(machine->memory + machine->code, bytes, 15);
    memcpy(guest.ram + machine->code, bytes, 15);
    for (unsigned i = 0; i < gpr_count(machine); i++)
        uc_reg_write(machine->engine, gpr_name(machine, i), &vcpu->gpr[i]);
    uc_reg_write(machine->engine, UC_X86_REG_EFLAGS, &vcpu->rflags);
    guest.fpu[512] = 2;
    for (unsigned i = 0; i < gpr_count(machine); i++) {
        for (unsigned j = 0; j < 16; j++)
            guest.fpu[160 + i * 16 + j] = (uint8_t)draw(256);
        uc_reg_write(machine->engine, UC_X86_REG_XMM0 + (int)i, guest.fpu + 160 + i * 16);
    }
    machine->vector = -1;
}

// A branch ends elsewhere, perhaps where nothing is: it is counted, as a repetition cannot be.
static void run_machine(struct machine *machine, const struct instruction *instruction)
{
    uint64_t end = machine->code + instruction->length;
    uc_err error =
        uc_emu_start(machine->engine, machine->code, end, 0, is_branch(instruction) ? 1 : 0);
    bool is_gone = is_branch(instruction) && error == UC_ERR_FETCH_UNMAPPED;
    if (error != UC_ERR_OK && machine->vector < 0 && !is_gone)
        machine->vector = error == UC_ERR_INSN_INVALID ? VECTOR_UD : 100 + (int)error;
    if (machine->vector >= 0)
        uc_context_restore(machine->engine, machine->fresh);
}

static const char *compare_memory_of(const struct machine *machine)
{
    const uint8_t *theirs = machine->memory;
    uint64_t above = DEVICE + DEVICE_SIZE;
    if (memcmp(guest.ram + WINDOW, theirs + WINDOW, DEVICE - WINDOW) ||
        memcmp(guest.ram + above, theirs + above, WINDOW_END - above))
        return "RAM";
    return memcmp(guest.device, theirs + DEVICE, DEVICE_SIZE) ? "the device" : NULL;
}

static const char *compare(struct machine *machine, const struct instruction *instruction,
                           verdict_t verdict, uint64_t flags)
{
    const struct vcpu *vcpu = &guest.vcpu;
    if (verdict.kind == VERDICT_FAULT || machine->vector >= 0)
        return verdict.kind == VERDICT_FAULT && verdict.detail == machine->vector ? NULL
                                                                                  : "exception";
    if (verdict.kind != VERDICT_NEXT || verdict.detail != instruction->length)
        return "verdict";
    for (unsigned i = 0; i < gpr_count(machine); i++) {
        uint64_t theirs = 0;
        uc_reg_read(machine->engine, gpr_name(machine, i), &theirs);
        if (theirs != vcpu->gpr[i]) {
            printf("register %u: %#lx, oracle %#lx\n", i, vcpu->gpr[i], theirs);
            return "register";
        }
        uint8_t xmm[16];
        uc_reg_read(machine->engine, UC_X86_REG_XMM0 + (int)i, xmm);
        if (memcmp(xmm, guest.fpu + 160 + i * 16, 16))
            return "XMM register";
    }
    uint64_t theirs = 0;
    uc_reg_read(machine->engine, machine->bits == 64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &theirs);
    theirs -= segment_base(machine, CS);
    uint64_t mask = size_mask(machine->bits / 8);
    if ((theirs ^ (vcpu->rip + instruction->length)) & mask) {
        printf("RIP %#lx and %u, oracle %#lx\n", vcpu->rip, instruction->length, theirs);
        return "instruction pointer";
    }
    uc_reg_read(machine->engine, UC_X86_REG_EFLAGS, &theirs);
    if ((theirs ^ vcpu->rflags) & flags) {
        printf("flags %#lx, oracle %#lx, defined %#lx\n", vcpu->rflags, theirs, flags);
        return "flags";
    }
    return compare_memory_of(machine);
}

static void report(const struct machine *machine, const struct vcpu *before, const uint8_t *bytes,
                   const struct instruction *instruction, const char *what)
{
    printf("%u bits, operation %u, %s:", machine->bits, instruction->operation, what);
    for (unsigned i = 0; i < instruction->length; i++)
        printf(" %02x", bytes[i]);
    printf("\n   ");
    for (unsigned i = 0; i < gpr_count(machine); i++)
        printf(" %lx", before->gpr[i]);
    printf("\n   ");
    for (unsigned i = 0; i < guest.accesses && i < 8; i++)
        printf(" [%#lx %c %u: %#lx]", guest.log[i].address, guest.log[i].write ? 'w' : 'r',
               guest.log[i].size, guest.log[i].value);
    printf(" rip %lx rflags %lx, exception %d\n", before->rip, before->rflags, machine->vector);
}

static unsigned compared[OPERATIONS];

// One instruction on both. False: they differ.
static bool run_case(struct machine *machine)
{
    uint8_t bytes[15];
    struct instruction instruction;
    static struct vcpu before;
    if (!make_case(machine, bytes, &instruction))
        return true;
    before = guest.vcpu;
    uint64_t flags = defined_flags(&instruction) | RFLAGS_DF;
    load_machine(machine, bytes);
    struct exit exit = {.tsc = 1234};
    guest.missed = false;
    guest.accesses = 0;
    verdict_t verdict = emulate(&guest.vcpu, &exit);
    // Segment limits and stray addresses are for the other tests: libunicorn knows neither.
    bool comparable = !guest.missed && !is_incomparable(&instruction, &before) &&
                      !(verdict.kind == VERDICT_FAULT && verdict.detail != VECTOR_DE &&
                        verdict.detail != VECTOR_UD);
    const char *difference = NULL;
    if (comparable) {
        run_machine(machine, &instruction);
        difference = compare(machine, &instruction, verdict, flags);
        compared[instruction.operation]++;
    }
    if (difference)
        report(machine, &before, bytes, &instruction, difference);
    memcpy(machine->memory + WINDOW, guest.ram + WINDOW, WINDOW_END - WINDOW);
    memcpy(machine->memory + DEVICE, guest.device, DEVICE_SIZE);
    machine->code += 16;
    if (machine->code == CODE_END) {
        machine->code = CODE;
        uc_ctl_flush_tlb(machine->engine);
    }
    return difference == NULL;
}

static void compare_with_the_oracle(unsigned bits, uc_mode mode)
{
    struct machine machine = {.bits = bits, .mode = mode};
    unsigned differences = 0;
    machine_open(&machine);
    guest_open(&machine);
    memset(compared, 0, sizeof(compared));
    for (unsigned i = 0; i < rounds && differences < 20; i++)
        differences += !run_case(&machine);
    unsigned total = 0;
    for (unsigned i = OP_ADD; i < OPERATIONS; i++)
        total += compared[i];
    printf("%u bits: %u instructions compared\n", bits, total);
    uc_context_free(machine.fresh);
    uc_close(machine.engine);
    free(machine.memory);
    assert_int_equal(differences, 0);
    for (unsigned i = OP_ADD; i < OPERATIONS; i++)
        if (compared[i] == 0 && i != OP_MOVBE && (i < OP_JMP_FAR || i > OP_SYSTEM) && i != OP_INS &&
            i != OP_OUTS) // which are not decoded
            fail_msg("operation %u was never compared", i);
}

static void real_mode_instructions(void **state)
{
    (void)state;
    compare_with_the_oracle(16, UC_MODE_16);
}

static void instructions_of_32_bits(void **state)
{
    (void)state;
    compare_with_the_oracle(32, UC_MODE_32);
}

static void instructions_of_64_bits(void **state)
{
    (void)state;
    compare_with_the_oracle(64, UC_MODE_64);
}

int main(int count, char **arguments)
{
    if (count > 1)
        rounds = (unsigned)strtoul(arguments[1], NULL, 0);
    if (count > 2)
        seed = strtoull(arguments[2], NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_of_64_bits),
        cmocka_unit_test(instructions_of_32_bits),
        cmocka_unit_test(real_mode_instructions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
