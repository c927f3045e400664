// One worker's part of a run: its connections, its part of the rate, and what it has measured.
#ifndef TLSAGENT_CLIENT_LOAD_SHARD_H_
#define TLSAGENT_CLIENT_LOAD_SHARD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/load/conn.h"
#include "client/load/schedule.h"
#include "client/load/stats.h"
#include "client/load/via.h"
#include "client/load/workload.h"
#include "server/ring/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

struct run;

enum { SCRATCH_BYTES = 256 * 1024, RESUMPTION_MAX = 64 * 1024 };

struct shard {
  struct run *run;
  struct worker *worker;
  struct loop *loop;
  unsigned index;
  const struct options *options;
  const struct workload *workload;
  const struct script *script;
  struct tls_context *context;
  struct via *via;  // NULL: the own worker does the TLS

  struct conn *conns;
  size_t num_conns;
  size_t num_open;        // not off
  size_t num_opened;      // of all, to begin with
  size_t num_held;        // established
  size_t num_operations;  // under way
  struct list free;       // open loop: connections that can begin an operation
  struct timer opening;   // the next connection of the ramp
  size_t address;         // the target's address that connections try first
  uint64_t next_name;     // of the names to ask for

  // Resumption: the last session that the server gave, and the share of handshakes that use it.
  struct arena resumption_arena;
  struct slice resumption;
  bool is_given_none;    // the server was waited for, and gives none
  double resume_credit;  // percent; an offer costs 100

  // The open loop.
  struct schedule schedule;
  uint64_t num_due;    // operations whose time has come
  uint64_t num_begun;  // of them
  struct timer due;

  // Measuring.
  bool measuring;
  bool is_started;
  bool stopping;
  bool finished;
  clock_time last_done;
  struct stats stats;
  struct counts flushed;  // what was handed to the run of stats.counts
  int64_t handed_held;
  bool has_agreed;
  struct histogram interval[PHASE_COUNT];  // since then; not yet in stats
  struct timer tick;
  struct timer stop_timer;
  clock_time next_tick;

  uint8_t *scratch;  // what is read; for one callback
  bool priming;
  struct message prime;
  struct message start;
  struct message stop;
};

// shard_init prepares the part of worker number index. False without memory.
bool shard_init(struct shard *shard, struct run *run, unsigned index);
void shard_cleanup(struct shard *shard);

// shard_prime, shard_start and shard_stop post to its worker. To prime is to fetch a session to
// resume, by one connection that isn't counted; run_on_shard is told when that is over, and again
// when the shard has stopped and all of its connections are closed.
void shard_prime(struct shard *shard);
void shard_start(struct shard *shard);
void shard_stop(struct shard *shard);

// ---------------------------------------------------------------------------------------------
// For its connections.

// shard_record counts a phase that lasted from then to now, if that is within the measuring.
void shard_record(struct shard *shard, enum phase phase, clock_time from, clock_time now);

// A connection is established, is ready for an operation, has ended one, or is off.
void shard_on_established(struct shard *shard, struct conn *conn);
void shard_on_ready(struct shard *shard, struct conn *conn);
void shard_on_operation(struct shard *shard, struct conn *conn, bool good, clock_time now);
void shard_on_off(struct shard *shard, struct conn *conn);
// shard_take_attempt takes an attempt at a connection that came to nothing from the operations to
// do; false when none was left.
bool shard_take_attempt(struct shard *shard);

// shard_next_name gives the name to ask for, NULL for none.
const char *shard_next_name(struct shard *shard);
// shard_resumption gives what the next handshake is to resume; empty for a full one.
struct slice shard_resumption(struct shard *shard);
// shard_wants_ticket tells whether a session to resume is wanted and not there;
// shard_keep_resumption keeps a connection's, if the server has given one by now. After a last try
// in vain none is wanted any more.
bool shard_wants_ticket(const struct shard *shard);
bool shard_keep_resumption(struct shard *shard, struct conn *conn, bool is_last);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_SHARD_H_
