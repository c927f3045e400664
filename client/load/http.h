// Where does a response of HTTP/1.1 end? Every byte is a peer's: nothing is stored but a line.
#ifndef TLSAGENT_CLIENT_LOAD_HTTP_H_
#define TLSAGENT_CLIENT_LOAD_HTTP_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HTTP_LINE_MAX = 512, HTTP_HEADER_MAX = 64 * 1024 };

enum http_stage {
  HTTP_STATUS,  // the first line
  HTTP_HEADERS,
  HTTP_BODY,        // so many bytes
  HTTP_CHUNK_SIZE,  // a chunk's first line
  HTTP_CHUNK,
  HTTP_CHUNK_END,
  HTTP_TRAILERS,
  HTTP_TO_END,  // the body goes on to the connection's end
  HTTP_COMPLETE,
  HTTP_BROKEN
};

struct http_response {
  enum http_stage stage;
  unsigned status;
  bool keeps_alive;
  bool is_chunked;
  bool has_length;
  uint64_t left;          // of the body, or of a chunk
  uint32_t header_bytes;  // so far
  unsigned line_len;      // of a line that isn't whole; what is past HTTP_LINE_MAX is dropped
  char line[HTTP_LINE_MAX];
};

// http_start begins a response to a GET.
void http_start(struct http_response *response);
// http_take takes in what has come. The stage is HTTP_COMPLETE once all of the response is there,
// HTTP_BROKEN if it is none. Bytes after a complete response make it broken.
void http_take(struct http_response *response, struct slice data);
// http_end tells that no more will come; true when that completes the response.
bool http_end(struct http_response *response);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_HTTP_H_
