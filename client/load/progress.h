// How a run goes, while it goes: a block that is rewritten on a terminal, else a line a second.
#ifndef TLSAGENT_CLIENT_LOAD_PROGRESS_H_
#define TLSAGENT_CLIENT_LOAD_PROGRESS_H_

#include <stdbool.h>
#include <stdio.h>

#include "client/load/result.h"

struct progress {
  FILE *out;  // NULL: says nothing
  bool is_terminal;
  unsigned num_lines;  // of the block that is on the terminal
};

void progress_start(struct progress *progress, const struct options *options);
// progress_show tells of the second that has just passed, after so many seconds of the measuring;
// a time below 0 is the warm-up's.
void progress_show(struct progress *progress, const struct options *options,
                   const struct sample *sample, const struct counts *so_far);
// progress_end takes the block away.
void progress_end(struct progress *progress);

#endif  // TLSAGENT_CLIENT_LOAD_PROGRESS_H_
