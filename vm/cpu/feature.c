#include "vm/cpu/feature.h"

#define ROW(FEATURE, NAME, LEAF, SUBLEAF, IN, BIT, RULE, ...)                                      \
    {.name = (NAME), .bit = CPUID_##FEATURE, .rule = CPUID_##RULE, __VA_ARGS__},

const struct cpu_feature cpu_features[] = {CPU_FEATURES(ROW)};

const unsigned cpu_feature_count = ARRAY_LENGTH(cpu_features);
