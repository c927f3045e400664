// The least server there can be on io_uring: what comes on a Unix socket goes back.
#ifndef TLSAGENT_TESTS_BENCH_LIB_BARE_SERVER_H_
#define TLSAGENT_TESTS_BENCH_LIB_BARE_SERVER_H_

#include "tests/bench/lib/child.h"

// bare_server_start starts it in a process of its own and waits until it listens. One ring with
// SINGLE_ISSUER and DEFER_TASKRUN, multishot accept, multishot recv into provided buffers: what the
// daemon's worker does, without anything to do in between.
bool bare_server_start(struct child *child, const char *folder, int cpu);

#endif  // TLSAGENT_TESTS_BENCH_LIB_BARE_SERVER_H_
