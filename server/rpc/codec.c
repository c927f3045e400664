#include "server/rpc/codec.h"

const struct codec *codec_for(struct slice first) {
  // A ttrpc frame is shorter than 16 MiB: its length begins with a zero.
  return first.len > 0 && first.data[0] == 0 ? &codec_ttrpc : NULL;
}
