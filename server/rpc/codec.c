#include "server/rpc/codec.h"

// Each tells by its first byte. Whether the rest of a preface or a line follows, its codec sees,
// however it is torn.
const struct codec *codec_for(struct slice first) {
  if (first.len == 0) {
    return NULL;
  }
  // A ttrpc frame is shorter than 16 MiB: its length begins with a zero.
  if (first.data[0] == 0) {
    return &codec_ttrpc;
  }
  if (first.data[0] == 'P') {
    return &codec_grpc;
  }
  return first.data[0] == 'T' ? &codec_token : NULL;
}
