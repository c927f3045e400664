#include "client/load/phase.h"

const char *const PHASE_NAMES[PHASE_COUNT] = {
#define X(name, text, meaning) text,
    PHASE_TABLE(X)
#undef X
};

const char *const PHASE_MEANINGS[PHASE_COUNT] = {
#define X(name, text, meaning) meaning,
    PHASE_TABLE(X)
#undef X
};
