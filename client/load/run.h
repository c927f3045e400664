// A run: workers that load the target for as long as is asked, and what they have measured.
#ifndef TLSAGENT_CLIENT_LOAD_RUN_H_
#define TLSAGENT_CLIENT_LOAD_RUN_H_

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "client/load/options.h"
#include "client/load/result.h"
#include "client/load/settings.h"
#include "client/load/shard.h"
#include "client/load/target.h"
#include "server/ring/worker.h"

struct run {
  const struct options *options;
  struct target target;
  struct settings settings;
  struct script script;
  struct worker_pool *pool;
  struct shard *shards;
  unsigned num_shards;

  clock_time start;
  clock_time measure_from;
  clock_time measure_until;  // CLOCK_NEVER: when the operations are done

  atomic_uint_fast64_t num_connections;
  atomic_int_fast64_t budget;  // operations left to begin, with --count
  atomic_bool is_out;          // that there were none left has ended the run
  atomic_uint num_waiting;     // shards that haven't said what is waited for
  int event_fd;                // what the last of them writes to

  pthread_mutex_t lock;  // guards what follows: what the shards have handed in and nobody taken
  struct counts counts;
  struct histogram phases[PHASE_COUNT];
  uint64_t held;
  struct agreed agreed;
};

enum run_outcome {
  RUN_DONE,
  RUN_IMPOSSIBLE,  // it can't begin
  RUN_NONSENSE     // nor ever could: OpenSSL makes nothing of what is asked for
};

// run_execute does all of it, and shows how it goes on standard error unless told to be quiet.
// A sentence of at most size bytes is in why when it wasn't done. SIGINT and SIGTERM end
// it early once it has begun, a second one ends the process.
enum run_outcome run_execute(const struct options *options, struct result *out, char *why,
                             size_t size);

// ---------------------------------------------------------------------------------------------
// For the shards, on their threads.

// run_take takes so many operations of the budget, or those that are left, and tells how many.
uint64_t run_take(struct run *run, uint64_t most);
// run_has_more tells whether there are any left.
bool run_has_more(const struct run *run);
// run_hand_in adds what was measured since the last time; change is of connections held.
void run_hand_in(struct run *run, const struct counts *counts,
                 const struct histogram phases[PHASE_COUNT], int64_t change);
void run_on_shard(struct run *run);
void run_on_agreed(struct run *run, const struct agreed *agreed);

#endif  // TLSAGENT_CLIENT_LOAD_RUN_H_
