// Operands in args. Called by monitor/trace.c. SDM: "Operand Addressing".

#include "monitor/operands.h"

#include "lib/print.h"
#include "vm/vcpu.h"

#define NAME_SIZE   8
#define MEMORY_SIZE 56

static const char *const legacy[8] = {"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"};
static const char *const high_byte[4] = {"AH", "CH", "DH", "BH"};

static void name_gpr(char name[NAME_SIZE], unsigned number, unsigned size, bool has_rex)
{
    static const char *const suffix[9] = {[1] = "B", [2] = "W", [4] = "D", [8] = ""};
    if (number >= 8)
        format_text(name, NAME_SIZE, "R%u%s", number, suffix[size]);
    else if (size == 1 && number >= 4)
        format_text(name, NAME_SIZE, has_rex ? "%sL" : "%s",
                    has_rex ? legacy[number] : high_byte[number - 4]);
    else if (size == 1)
        format_text(name, NAME_SIZE, "%cL", legacy[number][0]);
    else
        format_text(name, NAME_SIZE, "%s%s",
                    size == 8   ? "R"
                    : size == 4 ? "E"
                                : "",
                    legacy[number]);
}

static void name_register(char name[NAME_SIZE], const struct instruction *instruction)
{
    const char *file = instruction->vector & VECTOR_MMX ? "MM"
                       : instruction->operand_size > 16 ? "YMM"
                                                        : "XMM";
    if (instruction->operation == OP_VECTOR)
        format_text(name, NAME_SIZE, "%s%u", file, instruction->reg);
    else
        name_gpr(name, instruction->reg, instruction->operand_size, instruction->has_rex);
}

// segment:[base + index*scale + displacement], of which only what is there.
static void name_memory(char text[MEMORY_SIZE], const struct instruction *instruction)
{
    static const char *const segment[6] = {"ES:", "CS:", "SS:", "", "FS:", "GS:"};
    char base[NAME_SIZE] = "", index[NAME_SIZE + 3] = "", place[24] = "";
    unsigned width = instruction->address_size;
    uint64_t at = instruction->displacement;
    bool has_base = instruction->base != REGISTER_NONE, is_stack = false;
    if (instruction->base == REGISTER_RIP) {
        format_text(base, sizeof(base), "RIP");
    } else if (has_base) {
        name_gpr(base, instruction->base, width, false);
        is_stack = instruction->base == RSP || instruction->base == RBP;
    }
    if (instruction->index != REGISTER_NONE) {
        char name[NAME_SIZE];
        name_gpr(name, instruction->index, width, false);
        format_text(index, sizeof(index), has_base ? "+%s*%u" : "%s*%u", name, instruction->scale);
    }
    bool is_first = !has_base && index[0] == 0;
    if (is_first)
        format_text(place, sizeof(place), "%#llx", (unsigned long long)(at & size_mask(width)));
    else if ((int64_t)at < 0)
        format_text(place, sizeof(place), "-%#llx", (unsigned long long)-at);
    else if (at)
        format_text(place, sizeof(place), "+%#llx", (unsigned long long)at);
    bool is_usual = is_stack && instruction->segment == SS;
    format_text(text, MEMORY_SIZE, "%s[%s%s%s]",
                is_usual || instruction->segment > GS ? "" : segment[instruction->segment], base,
                index, place);
}

static const char *size_word(unsigned size)
{
    return size == 1 ? "byte " : size == 2 ? "word " : size == 4 ? "dword " : "qword ";
}

// What stands where: R a register, M memory or a register, S its size before it, N a number.
static const char *const shape[] = {
    [FORM_RM_REG] = " M, R",        [FORM_REG_RM] = " R, M",
    [FORM_RM_IMM] = " SM, N",       [FORM_RM] = " SM",
    [FORM_RM_ONE] = " SM, 1",       [FORM_RM_CL] = " SM, CL",
    [FORM_RM_REG_IMM] = " M, R, N", [FORM_RM_REG_CL] = " M, R, CL",
    [FORM_REG_RM_IMM] = " R, M, N", [FORM_IMM] = " N",
};

void operands_format(char text[OPERANDS_SIZE], const struct instruction *instruction)
{
    char reg[NAME_SIZE], rm[MEMORY_SIZE], number[24];
    unsigned size = instruction->operand_size, form = instruction->form;
    bool is_bare = instruction->operation == OP_SYSTEM ||
                   instruction->operation == OP_MOV_FROM_SEGMENT ||
                   instruction->operation == OP_MOV_TO_SEGMENT;
    const char *word = instruction->is_memory && size <= 8 ? size_word(size) : "";
    const char *at = form < ARRAY_LENGTH(shape) && shape[form] ? shape[form] : "";
    if (is_bare || form == FORM_NONE)
        at = instruction->is_memory ? " M" : "";
    name_register(reg, instruction);
    if (instruction->is_memory)
        name_memory(rm, instruction);
    else
        name_gpr(rm, instruction->rm, MIN(size, 8U), instruction->has_rex);
    format_text(number, sizeof(number), "%ld", (int64_t)instruction->immediate);
    text[0] = 0;
    if (form == FORM_STRING && !is_bare)
        format_text(text, OPERANDS_SIZE, "%c%s", size_word(size)[0] - 'a' + 'A',
                    instruction->repeat ? ", repeated" : "");
    for (size_t length = 0; *at && length < OPERANDS_SIZE; at++) {
        char same[2] = {*at, 0};
        const char *piece = *at == 'R'   ? reg
                            : *at == 'M' ? rm
                            : *at == 'S' ? word
                            : *at == 'N' ? number
                                         : same;
        length += format_text(text + length, OPERANDS_SIZE - length, "%s", piece);
    }
}
