#include "server/tls/wiping_heap.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/tls/keys.h"
#include "tests/unit/tls/harness.h"

namespace {

// Made for this test, and used nowhere else.
const char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBgjCCASmgAwIBAgIUHb1A68sXb/BbaBnHwCOmbZSAfU8wCgYIKoZIzj0EAwIw\n"
    "FjEUMBIGA1UEAwwLd2lwaW5nLnRlc3QwIBcNMjYxMTIzMDk1OTQ2WhgPMjEyNjEw\n"
    "MzAwOTU5NDZaMBYxFDASBgNVBAMMC3dpcGluZy50ZXN0MFkwEwYHKoZIzj0CAQYI\n"
    "KoZIzj0DAQcDQgAEMKkLnQKkeRqvPeBQm17eS3LBoHIYiV6bGk3PCYBWJBY3vGaR\n"
    "sHy2DlTmW6/zi/TqxQOK0nQwSK/Ek/csBeQVi6NTMFEwHQYDVR0OBBYEFN3WoBET\n"
    "LzEAJDxBI/ggtxwZa2mwMB8GA1UdIwQYMBaAFN3WoBETLzEAJDxBI/ggtxwZa2mw\n"
    "MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgQBEDD4hIbcF9Vyf8\n"
    "BUcC6cb8e5cPY3WaiLdOnxhH9fkCIGBGDLGu4PQjk2NofwYieOiidMgthmqMwD06\n"
    "1ABcemKi\n"
    "-----END CERTIFICATE-----\n";
const char kKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgK4OKZ0ITWLqEbMTO\n"
    "yhAWotGyVRTBSWK2JuNm0A01wvShRANCAAQwqQudAqR5Gq894FCbXt5LcsGgchiJ\n"
    "XpsaTc8JgFYkFje8ZpGwfLYOVOZbr/OL9OrFA4rSdDBIr8ST9ywF5BWL\n"
    "-----END PRIVATE KEY-----\n";

// The private number, every bit turned round, so that it is not what is looked for.
const unsigned char kInverted[32] = {
    0xd4, 0x7c, 0x75, 0x98, 0xbd, 0xec, 0xa7, 0x45, 0x7b, 0x93, 0x3b, 0x31, 0x35, 0xef, 0xe9, 0x5d,
    0x2e, 0x4d, 0xaa, 0xeb, 0x3e, 0xb6, 0x9d, 0x49, 0xd9, 0x1c, 0x99, 0x2f, 0xf2, 0xca, 0x3d, 0x0b};

bool IsKey(const unsigned char *at) {
  for (size_t i = 0; i < sizeof(kInverted); i++) {
    if ((at[i] ^ 0xff) != kInverted[i]) {
      return false;
    }
  }
  return true;
}

size_t CountIn(const unsigned char *from, const unsigned char *to) {
  size_t found = 0;
  for (const unsigned char *at = from; at + sizeof(kInverted) <= to; at++) {
    found += IsKey(at);
  }
  return found;
}

// How often the key stands in the memory of this process.
size_t CountInMemory() {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  size_t found = 0;
  while (maps != nullptr && fgets(line, sizeof(line), maps) != nullptr) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    char access[8] = "";
    if (sscanf(line, "%lx-%lx %7s", &from, &to, access) == 3 && access[0] == 'r' &&
        access[1] == 'w') {
      found += CountIn(reinterpret_cast<const unsigned char *>(from),
                       reinterpret_cast<const unsigned char *>(to));
    }
  }
  fclose(maps);
  return found;
}

class WipingHeapTest : public TlsTest {};

TEST_F(WipingHeapTest, CanItBeStartedTwice) {
  EXPECT_TRUE(wiping_heap_start());
}

TEST_F(WipingHeapTest, IsNoCopyOfAKeyLeftBehind) {
  if (getenv("TLSAGENT_SANITIZER") != nullptr) {
    GTEST_SKIP() << "a sanitizer's memory is too large to be searched";
  }
  const tls_pair from = {slice_of_string(kCertificate), slice_of_string(kKey)};
  own_pair pair;
  Error error;
  ASSERT_EQ(own_pair_parse(&from, 0, &pair, &error).code, STATUS_OK) << error.text;
  EXPECT_EQ(CountInMemory(), 0u);  // in the secure heap it stands the other way round
  own_pair_cleanup(&pair);
  EXPECT_EQ(CountInMemory(), 0u);
  // And if it were there it would be found.
  static volatile unsigned char copy[sizeof(kInverted)];
  for (size_t i = 0; i < sizeof(copy); i++) {
    copy[i] = kInverted[i] ^ 0xff;
  }
  EXPECT_EQ(CountInMemory(), 1u);
}

}  // namespace
