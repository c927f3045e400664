#include "server/tls/seal.h"

#include "tests/unit/tls/harness.h"

namespace {

class SealTest : public TlsTest {
 protected:
  std::string Close(const std::string &secret, const std::string &binding) {
    slice sealed = slice_of(nullptr, 0);
    EXPECT_EQ(seal_close(Slice(secret), Slice(binding), arena_, &sealed).code, STATUS_OK);
    return String(sealed);
  }
  status_code Open(const std::string &sealed, const std::string &binding) {
    sealed_secret secret;
    status_code code = seal_open(Slice(sealed), Slice(binding), &secret).code;
    EXPECT_EQ(code == STATUS_OK, secret.data != nullptr);
    opened_ = code == STATUS_OK ? String(slice_of(secret.data, secret.len)) : "";
    seal_wipe(&secret);
    return code;
  }
  Arena arena_;
  std::string opened_;
};

TEST_F(SealTest, DoesASecretComeBack) {
  for (size_t len : {1, 16, 17, 5000}) {
    const std::string secret(len, 's');
    std::string sealed = Close(secret, "binding");
    EXPECT_EQ(sealed.find("ssss"), std::string::npos);
    EXPECT_EQ(Open(sealed, "binding"), STATUS_OK);
    EXPECT_EQ(opened_, secret);
  }
}

TEST_F(SealTest, IsNoSealLikeTheLast) {
  EXPECT_NE(Close("secret", "binding"), Close("secret", "binding"));
}

TEST_F(SealTest, DoesItOpenWithItsBindingAlone) {
  std::string sealed = Close("secret", "binding");
  for (const char *other : {"", "bindinG", "bindin", "binding "}) {
    EXPECT_EQ(Open(sealed, other), STATUS_INVALID_ARGUMENT) << other;
  }
}

TEST_F(SealTest, IsEveryChangeNoticed) {
  const std::string sealed = Close("secret", "binding");
  for (size_t at = 0; at < sealed.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      std::string changed = sealed;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      EXPECT_EQ(Open(changed, "binding"), STATUS_INVALID_ARGUMENT);
    }
    EXPECT_EQ(Open(sealed.substr(0, at), "binding"), STATUS_INVALID_ARGUMENT) << at;
    EXPECT_EQ(Open(sealed + std::string(at + 1, 'x'), "binding"), STATUS_INVALID_ARGUMENT);
  }
}

TEST_F(SealTest, IsAFullArenaSaid) {
  Arena small(8);
  slice sealed;
  EXPECT_EQ(seal_close(Slice("secret"), Slice("binding"), small, &sealed).code,
            STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
