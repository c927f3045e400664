#include "server/tls/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace {

std::string Hex(const uint8_t *digest) {
  std::string text;
  for (int i = 0; i < DIGEST_SIZE; i++) {
    char byte[3];
    snprintf(byte, sizeof(byte), "%02x", digest[i]);
    text += byte;
  }
  return text;
}

TEST(DigestTest, IsItSha256OfAllPiecesInARow) {
  uint8_t digest[DIGEST_SIZE];
  const slice pieces[] = {slice_of("a", 1), slice_of(nullptr, 0), slice_of("bc", 2)};
  ASSERT_EQ(digest_of(pieces, 3, digest).code, STATUS_OK);
  EXPECT_EQ(Hex(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ASSERT_EQ(digest_of(nullptr, 0, digest).code, STATUS_OK);
  EXPECT_EQ(Hex(digest), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
