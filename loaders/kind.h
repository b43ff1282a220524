// What a file looks like that is no kernel, for the person who named the wrong one.
#pragma once

#include "loaders/image.h"

// "a gzip archive: unpack it first", or a like phrase. Never NULL.
const char *kind_describe(const struct image *image);
