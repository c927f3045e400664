// Any payload for any method: is it refused, or a message that lives in its arena and can be packed
// again? The arena has the ceiling that a call of that length has.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <vector>

extern "C" {
#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/tlsagent/v1/certificate.pb-c.h"
#include "proto/tlsagent/v1/context.pb-c.h"
#include "proto/tlsagent/v1/relay.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "server/rpc/dispatch.h"
#include "server/rpc/envelope.h"
#include "server/rpc/strings.h"
}

namespace {

const ProtobufCServiceDescriptor *const kServices[] = {
    &tlsagent__v1__agent_service__descriptor,   &tlsagent__v1__certificate_service__descriptor,
    &tlsagent__v1__context_service__descriptor, &tlsagent__v1__session_service__descriptor,
    &tlsagent__v1__relay_service__descriptor,
};

void Check(bool condition) {
  if (!condition) {
    abort();
  }
}

std::vector<const ProtobufCMessageDescriptor *> AllRequests() {
  std::vector<const ProtobufCMessageDescriptor *> all;
  for (const ProtobufCServiceDescriptor *service : kServices) {
    for (unsigned i = 0; i < service->n_methods; i++) {
      all.push_back(service->methods[i].input);
    }
  }
  return all;
}

// What was unpacked is whole: it can be packed into just the bytes that were measured.
void PackAgain(const ProtobufCMessage *message) {
  struct reply_size size = reply_measure(message);
  if (size.frame != SIZE_MAX) {
    std::vector<uint8_t> frame(size.frame);
    reply_write(frame.data(), size, 1, message);
  }
}

}  // namespace

// The first byte chooses the method, the rest is the payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<const ProtobufCMessageDescriptor *> requests = AllRequests();
  if (size == 0) {
    return 0;
  }
  const ProtobufCMessageDescriptor *request = requests[data[0] % requests.size()];
  std::vector<uint8_t> payload(data + 1, data + size);
  struct slice slice = slice_of(payload.data(), payload.size());
  struct arena arena;
  arena_init(&arena, 4 * slice.len + (64 << 10));
  const ProtobufCMessage *message = nullptr;
  const ProtobufCFieldDescriptor *bad = nullptr;
  bool good_strings = strings_check(request, slice, &bad) == STRINGS_GOOD;
  status_t status = dispatch_unpack(request, slice, &arena, &message);
  Check(arena.used <= arena.max);
  if (status_ok(status) && good_strings) {
    Check(protobuf_c_message_check(message));
    PackAgain(message);
  }
  arena_cleanup(&arena);
  return 0;
}
