#include "server/base/token.h"

#include <stddef.h>
#include <sys/random.h>

status_t token_make(uint8_t out[TOKEN_BYTES]) {
  ENSURE(getrandom(out, TOKEN_BYTES, 0) == TOKEN_BYTES, UNAVAILABLE);
  return OK_STATUS;
}

bool token_equal(const uint8_t token[TOKEN_BYTES], struct slice guess) {
  if (guess.len != TOKEN_BYTES) {
    return false;
  }
  uint8_t differences = 0;
  for (size_t i = 0; i < TOKEN_BYTES; i++) {
    differences |= (uint8_t)(token[i] ^ guess.data[i]);
  }
  return differences == 0;
}
