// Errors, counted by the phase they ended, their kind and their reason.
#ifndef TLSAGENT_CLIENT_LOAD_TALLY_H_
#define TLSAGENT_CLIENT_LOAD_TALLY_H_

#include <stddef.h>
#include <stdint.h>

#include "client/load/phase.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TALLY_ROWS_MAX = 64, TALLY_KIND_SIZE = 16, TALLY_REASON_SIZE = 160 };

struct tally_row {
  enum phase phase;
  char kind[TALLY_KIND_SIZE];      // "tls", "verify", "refused", "timeout", ...
  char reason[TALLY_REASON_SIZE];  // in words; may come from the peer, and is printable
  uint64_t count;
};

// A tally that is all zero is empty. When its rows have run out, further reasons are one row.
struct tally {
  struct tally_row rows[TALLY_ROWS_MAX];
  size_t num_rows;
  uint64_t total;
};

// tally_note counts an error; a reason with control characters is shown with '?' for each.
void tally_note(struct tally *tally, enum phase phase, const char *kind, const char *reason);
// tally_note_os is for a system call's errno, tally_note_tls for what a session says.
void tally_note_os(struct tally *tally, enum phase phase, int os_errno);
void tally_note_tls(struct tally *tally, enum phase phase, const struct tls_error *error);

// tally_add adds another tally. tally_sort puts the most frequent first.
void tally_add(struct tally *tally, const struct tally *other);
void tally_sort(struct tally *tally);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_TALLY_H_
