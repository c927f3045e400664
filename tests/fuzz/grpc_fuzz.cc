// Any frames to a gRPC connection: does it always answer or close, and is nothing left?
#include <string>

#include "tests/fuzz/rpc_server.h"

// The server's threads are in the middle of something whenever libFuzzer looks for leaks. The unit
// tests look for them at the end.
extern "C" int __lsan_is_turned_off() {
  return 1;
}

// The first byte says how the rest is cut; it is what a peer says that has said hello.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Server *server = new Server();
  if (size == 0) {
    return 0;
  }
  const std::string hello =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
  int fd = server->Connect();
  SendAll(fd, (const uint8_t *)hello.data(), hello.size(), hello.size());
  SendAll(fd, data + 1, size - 1, data[0] < 200 ? 65536 : (size_t)data[0] - 199);
  HearOut(fd);
  return 0;
}
