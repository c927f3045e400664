// Objects carry their type. OBJECT_CHECK turns a use after free or a wrong cast into an abort with
// a line number, at the price of one compare.
#ifndef TLSAGENT_SERVER_BASE_OBJECT_H_
#define TLSAGENT_SERVER_BASE_OBJECT_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// The first member of a checked struct is `uint32_t magic`.
#define OBJECT_CHECK(object, expected)                                                \
  do {                                                                                \
    if ((object) == NULL || (object)->magic != (expected)) {                          \
      fprintf(stderr, "%s:%d: not a live object: " #object "\n", __FILE__, __LINE__); \
      abort();                                                                        \
    }                                                                                 \
  } while (0)

#endif  // TLSAGENT_SERVER_BASE_OBJECT_H_
