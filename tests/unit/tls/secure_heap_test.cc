#include "server/tls/secure_heap.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <vector>

namespace {

TEST(SecureHeapTest, IsThereOneAndDoesItKeepAPartForHandshakes) {
  secure_heap_start();
  secure_heap_start();
  ASSERT_GT(secure_heap_bytes(), 0u);
  EXPECT_TRUE(secure_heap_has_room());
  std::vector<void *> blocks;
  while (secure_heap_has_room()) {
    blocks.push_back(OPENSSL_secure_malloc(64 << 10));
    ASSERT_NE(blocks.back(), nullptr);
  }
  void *more = OPENSSL_secure_malloc(1024);
  EXPECT_NE(more, nullptr);
  OPENSSL_secure_free(more);
  for (void *block : blocks) {
    OPENSSL_secure_free(block);
  }
  EXPECT_TRUE(secure_heap_has_room());
}

}  // namespace
