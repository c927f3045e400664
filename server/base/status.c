#include "server/base/status.h"

const char *status_name(enum status_code code) {
  switch (code) {
#define X(name, number, text) \
  case STATUS_##name:         \
    return #name;
    STATUS_TABLE(X)
#undef X
  }
  return "UNKNOWN";
}

const char *status_text(enum status_code code) {
  switch (code) {
#define X(name, number, text) \
  case STATUS_##name:         \
    return text;
    STATUS_TABLE(X)
#undef X
  }
  return "unknown";
}
