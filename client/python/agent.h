// Connections to the daemon, for all threads of the process.
//
// A libtlsagent client is one connection without a lock; here is a pool of them, all of one client
// of the daemon, so that every thread can use every context and session. A call takes a connection,
// waits for its answer without the GIL, and gives it back.
//
// Handles are numbers that mean something only to the client of the daemon that made them. Each is
// kept with the incarnation it was made in, which ends when the daemon goes away. After a fork the
// child joins its parent's client: contexts are good in both, sessions only where they were made.
#ifndef TLSAGENT_CLIENT_PYTHON_AGENT_H_
#define TLSAGENT_CLIENT_PYTHON_AGENT_H_

#include <stdbool.h>
#include <stdint.h>

#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

enum agent_kind { AGENT_CONTEXT, AGENT_SESSION };

// struct agent_handle is a context or session of the daemon, or none yet: number 0.
struct agent_handle {
  enum agent_kind kind;
  uint64_t number;
  uint64_t incarnation;
  int64_t process;  // which process made it
  int home;         // the connection that made it: by it the way to the session is shortest
  uint64_t forks;   // and after how many forks
};

// agent_take gives a connection for one call or several, with which `handle` means something; NULL
// for calls that name none. It returns NULL and fills *error when there is none: the daemon can't
// be reached or has gone (UNREACHABLE, LOST), or the handle is another process's session (USAGE).
// Call it without the GIL: it may connect, and waits when many threads have one. A thread takes one
// at a time.
struct tlsagent_client *agent_take(const struct agent_handle *handle, struct tlsagent_error *error);

// agent_watch gives a connection's descriptor, to be watched for its end while something else is
// waited for, and for nothing else; -1 when there is none. It may be closed at any time, and its
// number be another file's: when it alarms, agent_check tells whether the daemon has gone.
int agent_watch(const struct agent_handle *handle);
bool agent_check(const struct agent_handle *handle, struct tlsagent_error *error);

// agent_give gives it back. One that is lost is closed, and with it every other one.
void agent_give(struct tlsagent_client *client);

// agent_made notes a handle that was just made on client, which is not yet given back.
struct agent_handle agent_made(struct tlsagent_client *client, enum agent_kind kind,
                               uint64_t number);

// agent_drop ends a context or session without waiting for it: now if a connection is idle, else
// with the next call. Nothing happens for a handle of number 0, one whose incarnation is over, and
// one that a forked child may still use. With or without the GIL.
void agent_drop(struct agent_handle handle);

// agent_owns tells whether an object is this process's to use: `*process` is who used it first, or
// 0, and then it is noted. It returns false and fills *error (USAGE) for one that was inherited by
// a fork. Ask before any lock of the object's is taken: a thread that the child doesn't have may
// hold it. Call it with the GIL.
bool agent_owns(int64_t *process, struct tlsagent_error *error);

// agent_address is where the daemon is, or would be: "unix:/run/tlsagent.sock". It lives as long as
// the process.
const char *agent_address(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_PYTHON_AGENT_H_
