// Operands in words. Called by monitor/trace.c. SDM: "Operand Addressing".

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

void operands_format(char text[OPERANDS_SIZE], const struct instruction *instruction)
{
    char reg[NAME_SIZE], rm[MEMORY_SIZE];
    unsigned size = instruction->operand_size;
    long long constant = (long long)instruction->immediate;
    bool is_bare = instruction->operation == OP_SYSTEM ||
                   instruction->operation == OP_MOV_FROM_SEGMENT ||
                   instruction->operation == OP_MOV_TO_SEGMENT;
    const char *word = instruction->is_memory && size <= 8 ? size_word(size) : "";
    text[0] = 0;
    name_register(reg, instruction);
    if (instruction->is_memory)
        name_memory(rm, instruction);
    else
        name_gpr(rm, instruction->rm, MIN(size, 8U), instruction->has_rex);
    switch (is_bare ? FORM_NONE : instruction->form) {
    case FORM_RM_REG:
        format_text(text, OPERANDS_SIZE, " %s, %s", rm, reg);
        break;
    case FORM_REG_RM:
        format_text(text, OPERANDS_SIZE, " %s, %s", reg, rm);
        break;
    case FORM_RM_IMM:
        format_text(text, OPERANDS_SIZE, " %s%s, %lld", word, rm, constant);
        break;
    case FORM_RM:
        format_text(text, OPERANDS_SIZE, " %s%s", word, rm);
        break;
    case FORM_RM_ONE:
        format_text(text, OPERANDS_SIZE, " %s%s, 1", word, rm);
        break;
    case FORM_RM_CL:
        format_text(text, OPERANDS_SIZE, " %s%s, CL", word, rm);
        break;
    case FORM_RM_REG_IMM:
        format_text(text, OPERANDS_SIZE, " %s, %s, %lld", rm, reg, constant);
        break;
    case FORM_RM_REG_CL:
        format_text(text, OPERANDS_SIZE, " %s, %s, CL", rm, reg);
        break;
    case FORM_REG_RM_IMM:
        format_text(text, OPERANDS_SIZE, " %s, %s, %lld", reg, rm, constant);
        break;
    case FORM_IMM:
        format_text(text, OPERANDS_SIZE, " %lld", constant);
        break;
    case FORM_STRING:
        format_text(text, OPERANDS_SIZE, "%c%s", size_word(size)[0] - 'a' + 'A',
                    instruction->repeat ? ", repeated" : "");
        break;
    case FORM_NONE:
        if (instruction->is_memory)
            format_text(text, OPERANDS_SIZE, " %s", rm);
        break;
    case FORM_LOAD_OFFSET: // the decoder gives none of these
    case FORM_STORE_OFFSET:
    case FORM_OPCODE:
    case FORM_BARE:
        break;
    }
}
