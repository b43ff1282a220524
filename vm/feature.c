// The table of CPU feature names. See feature.h.

#include "vm/feature.h"

#define ROW(feature, name, leaf, subleaf, in, bit) {name, CPUID_##feature},

const struct cpu_feature cpu_features[] = {CPU_FEATURES(ROW)};

const unsigned cpu_feature_count = ARRAY_LENGTH(cpu_features);
