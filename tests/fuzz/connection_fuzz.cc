// Any bytes to a whole RPC server over a socket: does it always answer or close, and is nothing
// left?
#include "tests/fuzz/rpc_server.h"

// The server's threads are in the middle of something whenever libFuzzer looks for leaks. The unit
// tests look for them at the end.
extern "C" int __lsan_is_turned_off() {
  return 1;
}

// The first byte says how the rest is cut; the end of the stream ends every call.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Server *server = new Server();
  if (size == 0) {
    return 0;
  }
  int fd = server->Connect();
  SendAll(fd, data + 1, size - 1, data[0] < 200 ? 65536 : (size_t)data[0] - 199);
  HearOut(fd);
  return 0;
}
