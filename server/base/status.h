// The one result type of the daemon. A function that can fail returns status_t; nothing returns -1.
//
// The codes are those of google.rpc.Code, so that a status can leave the daemon as it is.
#ifndef TLSAGENT_SERVER_BASE_STATUS_H_
#define TLSAGENT_SERVER_BASE_STATUS_H_

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// STATUS_TABLE lists every code: X(name, number, text).
#define STATUS_TABLE(X)                            \
  X(OK, 0, "ok")                                   \
  X(CANCELLED, 1, "cancelled")                     \
  X(UNKNOWN, 2, "unknown")                         \
  X(INVALID_ARGUMENT, 3, "invalid argument")       \
  X(DEADLINE_EXCEEDED, 4, "deadline exceeded")     \
  X(NOT_FOUND, 5, "not found")                     \
  X(ALREADY_EXISTS, 6, "already exists")           \
  X(PERMISSION_DENIED, 7, "permission denied")     \
  X(RESOURCE_EXHAUSTED, 8, "resource exhausted")   \
  X(FAILED_PRECONDITION, 9, "failed precondition") \
  X(ABORTED, 10, "aborted")                        \
  X(OUT_OF_RANGE, 11, "out of range")              \
  X(UNIMPLEMENTED, 12, "unimplemented")            \
  X(INTERNAL, 13, "internal")                      \
  X(UNAVAILABLE, 14, "unavailable")                \
  X(DATA_LOSS, 15, "data loss")                    \
  X(UNAUTHENTICATED, 16, "unauthenticated")

enum status_code {
#define X(name, number, text) STATUS_##name = (number),
  STATUS_TABLE(X)
#undef X
};

// clang lets the type itself insist on being looked at; gcc has that for functions only.
#ifdef __clang__
#define STATUS_MUST_BE_USED __attribute__((warn_unused_result))
#else
#define STATUS_MUST_BE_USED
#endif

// A struct and not an int, so that a status can't be compared with a length by mistake.
struct STATUS_MUST_BE_USED status {
  enum status_code code;
};
typedef struct status status_t;

static inline struct status status_of(enum status_code code) {
  struct status status = {code};
  return status;
}

static inline bool status_ok(struct status status) {
  return status.code == STATUS_OK;
}

// status_name returns the code's name, "NOT_FOUND", or "UNKNOWN" for a number that is no code.
const char *status_name(enum status_code code);

// status_text returns the code in words, "not found".
const char *status_text(enum status_code code);

#define OK_STATUS status_of(STATUS_OK)

// TRY passes a failure of expr on to the caller.
#define TRY(expr)                       \
  do {                                  \
    struct status try_status_ = (expr); \
    if (!status_ok(try_status_)) {      \
      return try_status_;               \
    }                                   \
  } while (0)

// ENSURE fails the calling function with STATUS_<name> unless cond holds.
#define ENSURE(cond, name)             \
  do {                                 \
    if (!(cond)) {                     \
      return status_of(STATUS_##name); \
    }                                  \
  } while (0)

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_STATUS_H_
