// Any line about a descriptor, with any number of them: is it always answered and closed, and is
// nothing left?
#include <string>

#include "tests/fuzz/rpc_server.h"

// The server's threads are in the middle of something whenever libFuzzer looks for leaks. The unit
// tests look for them at the end.
extern "C" int __lsan_is_turned_off() {
  return 1;
}

// The first byte says how many descriptors come, the second where the line is cut and whether they
// come before or after that; the line begins as it has to.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Server *server = new Server();
  if (size < 2) {
    return 0;
  }
  const std::string line = "T" + std::string((const char *)data + 2, size - 2);
  const size_t num_fds = data[0] % 20;
  const size_t cut = 1 + (data[1] / 2) % line.size();
  const std::string head = line.substr(0, cut);
  const std::string tail = line.substr(cut);
  const std::string &with_fds = data[1] % 2 == 0 || tail.empty() ? head : tail;
  int fd = server->Connect();
  for (const std::string *part : {&head, &tail}) {
    if (part == &with_fds && num_fds > 0) {
      SendWithFds(fd, (const uint8_t *)part->data(), part->size(), num_fds);
    } else {
      SendAll(fd, (const uint8_t *)part->data(), part->size(), part->size() + 1);
    }
  }
  HearOut(fd);
  return 0;
}
