// Any bytes, cut anywhere: does tlsagent-load find the end of a response at the same place however
// they come?
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <vector>

extern "C" {
#include "client/load/http.h"
}

namespace {

struct http_response Taken(const uint8_t *data, size_t size, size_t step) {
  struct http_response response;
  http_start(&response);
  for (size_t at = 0; at < size; at += step) {
    // On memory of exactly that size, so that one byte too many is seen.
    std::vector<uint8_t> part(data + at, data + (size - at < step ? size : at + step));
    http_take(&response, slice_of(part.data(), part.size()));
  }
  return response;
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  struct http_response at_once = Taken(data + 1, size - 1, size);
  struct http_response in_pieces = Taken(data + 1, size - 1, data[0] % 23 + 1);
  if (at_once.stage != in_pieces.stage || at_once.status != in_pieces.status ||
      at_once.left != in_pieces.left) {
    abort();
  }
  return 0;
}
