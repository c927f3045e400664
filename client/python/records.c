#include "client/python/records.h"

#include <stdbool.h>

enum {
  HEADER = 5,
  FIRST_TYPE = 20,  // change_cipher_spec
  APPLICATION_DATA = 23,
  LAST_TYPE = APPLICATION_DATA,
  MAJOR_VERSION = 3,
  BODY_MAX = (1 << 14) + 2048  // TLS 1.2; 1.3 allows less
};

static size_t body_length(const uint8_t *header) {
  return (size_t)header[3] << 8 | header[4];
}

static bool is_header(const uint8_t *header) {
  return header[0] >= FIRST_TYPE && header[0] <= LAST_TYPE && header[1] == MAJOR_VERSION &&
         body_length(header) <= BODY_MAX;
}

size_t record_missing(const uint8_t *data, size_t len) {
  if (len < HEADER) {
    return HEADER - len;
  }
  if (!is_header(data)) {
    return 0;
  }
  size_t whole = HEADER + body_length(data);
  return len < whole ? whole - len : 0;
}

// The length of a record that is whole and holds data, else 0.
static size_t data_record(const uint8_t *data, size_t len) {
  enum { SHORT = 64 };
  bool is_data =
      len >= HEADER && is_header(data) && data[0] == APPLICATION_DATA && body_length(data) >= SHORT;
  size_t whole = is_data ? HEADER + body_length(data) : 0;
  return whole <= len ? whole : 0;
}

size_t records_of_data(const uint8_t *data, size_t len, size_t most) {
  size_t total = 0;
  size_t next = data_record(data, len);
  while (next > 0 && next <= most - total) {
    total += next;
    next = data_record(data + total, len - total);
  }
  return total;
}

size_t records_whole(const uint8_t *data, size_t len) {
  size_t whole = 0;
  while (whole < len && record_missing(data + whole, len - whole) == 0) {
    if (!is_header(data + whole)) {
      return len;
    }
    whole += HEADER + body_length(data + whole);
  }
  return whole;
}
