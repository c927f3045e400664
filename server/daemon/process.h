// The process around the daemon: what an attacker could read of it, its signals, its manager.
#ifndef TLSAGENT_SERVER_DAEMON_PROCESS_H_
#define TLSAGENT_SERVER_DAEMON_PROCESS_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

// process_harden makes the process leave no core dump, closed to ptrace(2) and /proc/PID/mem, and
// unable to gain privileges; it raises the number of descriptors to what is allowed. What can't be
// had is logged.
void process_harden(void);

// process_keep_memory lets each thread keep 16 MiB that it has freed, so that a large message's
// memory isn't mapped and cleared anew for each one; call it before threads start. Where malloc(3)
// is not glibc's it does nothing.
void process_keep_memory(void);

// process_descriptors_needed returns how many descriptors the limits let the process have open.
uint64_t process_descriptors_needed(const struct limits *limits, unsigned num_workers);
// process_has_descriptors tells whether so many are allowed. False: a line of the log says what
// would mend it.
bool process_has_descriptors(uint64_t num);

// process_block_signals keeps SIGTERM and SIGINT for process_wait_signal; call it before threads
// start.
void process_block_signals(void);
// process_wait_signal waits for one of them and returns it. From then on another one ends the
// process.
int process_wait_signal(void);

// process_kernel_has_tls asks the kernel whether it can do TLS records (kTLS). Asking may load the
// module for it, where the process may do that.
bool process_kernel_has_tls(void);

// process_notify tells the service manager, if there is one, in the protocol of sd_notify(3).
void process_notify(const char *state);

// process_under_journal tells whether standard error is a stream of systemd's journal.
bool process_under_journal(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_PROCESS_H_
