#include "server/rpc/codec.h"

// Either tells by its first byte. Whether the rest of an HTTP/2 preface follows, nghttp2 sees,
// however it is torn.
const struct codec *codec_for(struct slice first) {
  if (first.len == 0) {
    return NULL;
  }
  // A ttrpc frame is shorter than 16 MiB: its length begins with a zero.
  if (first.data[0] == 0) {
    return &codec_ttrpc;
  }
  return first.data[0] == 'P' ? &codec_grpc : NULL;
}
