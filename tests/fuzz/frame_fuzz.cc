// Any bytes, cut anywhere: does the frame reader say the same however they come, and does an
// envelope never point outside its frame?
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>
#include <vector>

extern "C" {
#include "server/rpc/envelope.h"
#include "server/rpc/frame.h"
}

namespace {

void Check(bool condition) {
  if (!condition) {
    abort();
  }
}

void CheckInside(struct slice part, struct slice whole) {
  Check(part.len == 0 ||
        (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

void ReadEnvelope(struct slice body) {
  // On memory of exactly that size, so that one byte too many is seen.
  std::vector<uint8_t> copy(body.data, body.data + body.len);
  struct slice exact = slice_of(copy.data(), copy.size());
  struct envelope envelope;
  if (envelope_parse(exact, &envelope)) {
    CheckInside(envelope.service, exact);
    CheckInside(envelope.method, exact);
    CheckInside(envelope.payload, exact);
    CheckInside(envelope.token, exact);
  }
}

class Listener {
 public:
  Listener() {
    frame_reader_init(&reader_);
  }
  ~Listener() {
    frame_reader_cleanup(&reader_);
  }

  // Frames of type 1 are kept, as the server would; the rest goes by.
  void Hear(const uint8_t *data, size_t size) {
    struct slice chunk = slice_of(data, size);
    while (!malformed_ && Next(&chunk)) {
    }
  }

  const std::string &story() const {
    return story_;
  }

 private:
  bool Next(struct slice *chunk) {
    struct slice body = slice_of(NULL, 0);
    switch (frame_next(&reader_, chunk, &body)) {
      case FRAME_BEGINS:
        story_ += "b" + std::to_string(reader_.header.stream_id);
        if (reader_.header.type != FRAME_REQUEST || reader_.header.length > FRAME_LENGTH_MAX) {
          frame_skip(&reader_);
        }
        return true;
      case FRAME_COMPLETE:
        Check(body.len == reader_.header.length);
        story_ += "c" + std::string((const char *)body.data, body.len);
        ReadEnvelope(body);
        return true;
      case FRAME_SKIPPED:
        story_ += "s";
        return true;
      case FRAME_PARTIAL:
        Check(chunk->len == 0 && frame_missing(&reader_) > 0);
        return false;
      case FRAME_NO_MEMORY:
        return true;
      case FRAME_MALFORMED:
        break;
    }
    malformed_ = true;
    story_ += "m";
    return false;
  }

  struct frame_reader reader_;
  bool malformed_ = false;
  std::string story_;
};

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  size_t step = data[0] % 23 + 1;
  data++;
  size--;
  Listener at_once;
  Listener in_pieces;
  at_once.Hear(data, size);
  for (size_t at = 0; at < size; at += step) {
    in_pieces.Hear(data + at, size - at < step ? size - at : step);
  }
  Check(at_once.story() == in_pieces.story());
  return 0;
}
