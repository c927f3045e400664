#include "server/session/kernel_tls.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/support/fake_kernel.h"
#include "tests/unit/session/harness.h"

namespace {

using Orders = std::vector<std::string>;

struct engine_traffic_keys Keys(enum engine_record_cipher cipher) {
  struct engine_traffic_keys keys = {};
  keys.version = 0x0304;
  keys.cipher = cipher;
  for (int i = 0; i < ENGINE_TRAFFIC_KEY_MAX; i++) {
    keys.send.key[i] = (uint8_t)(0x40 + i);
    keys.receive.key[i] = (uint8_t)(0x80 + i);
  }
  for (int i = 0; i < ENGINE_TRAFFIC_IV; i++) {
    keys.send.iv[i] = (uint8_t)(0x10 + i);
    keys.receive.iv[i] = (uint8_t)(0x20 + i);
  }
  keys.send.sequence = 0x0102030405060708;
  keys.receive.sequence = 2;
  return keys;
}

template <typename Info>
Info As(const std::string &bytes) {
  Info info = {};
  EXPECT_EQ(bytes.size(), sizeof(info));
  memcpy(&info, bytes.data(), std::min(bytes.size(), sizeof(info)));
  EXPECT_EQ(info.info.version, TLS_1_3_VERSION);
  return info;
}

template <typename Info>
void ExpectGcm(const std::string &bytes, int cipher, const struct engine_traffic_key &key) {
  Info info = As<Info>(bytes);
  EXPECT_EQ(info.info.cipher_type, cipher);
  EXPECT_EQ(memcmp(info.key, key.key, sizeof(info.key)), 0);
  EXPECT_EQ(memcmp(info.salt, key.iv, 4), 0);
  EXPECT_EQ(memcmp(info.iv, key.iv + 4, 8), 0);
}

TEST(KernelTls, AreTheKeysSetAsTheKernelHasThem) {
  FakeKernel kernel;
  int os_errno = -1;
  struct engine_traffic_keys keys = Keys(ENGINE_AES_128_GCM);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_SET);
  EXPECT_EQ(os_errno, 0);
  EXPECT_EQ(kernel.Order(), (Orders{"protocol", "send", "receive"}));
  using Aes128 = struct tls12_crypto_info_aes_gcm_128;
  ExpectGcm<Aes128>(kernel.Send(), TLS_CIPHER_AES_GCM_128, keys.send);
  ExpectGcm<Aes128>(kernel.Receive(), TLS_CIPHER_AES_GCM_128, keys.receive);
  EXPECT_EQ(memcmp(As<Aes128>(kernel.Send()).rec_seq, "\1\2\3\4\5\6\7\10", 8), 0);
  EXPECT_EQ(memcmp(As<Aes128>(kernel.Receive()).rec_seq, "\0\0\0\0\0\0\0\2", 8), 0);

  keys = Keys(ENGINE_AES_256_GCM);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_SET);
  using Aes256 = struct tls12_crypto_info_aes_gcm_256;
  ExpectGcm<Aes256>(kernel.Send(), TLS_CIPHER_AES_GCM_256, keys.send);
  ExpectGcm<Aes256>(kernel.Receive(), TLS_CIPHER_AES_GCM_256, keys.receive);
}

TEST(KernelTls, AreThoseOfChaCha20) {
  FakeKernel kernel;
  int os_errno = -1;
  struct engine_traffic_keys keys = Keys(ENGINE_CHACHA20_POLY1305);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_SET);
  auto info = As<struct tls12_crypto_info_chacha20_poly1305>(kernel.Receive());
  EXPECT_EQ(info.info.cipher_type, TLS_CIPHER_CHACHA20_POLY1305);
  EXPECT_EQ(memcmp(info.key, keys.receive.key, 32), 0);
  EXPECT_EQ(memcmp(info.iv, keys.receive.iv, 12), 0);
  EXPECT_EQ(memcmp(info.rec_seq, "\0\0\0\0\0\0\0\2", 8), 0);
}

TEST(KernelTls, IsItToldHowFarTheKernelWent) {
  FakeKernel kernel;
  int os_errno = 0;
  struct engine_traffic_keys keys = Keys(ENGINE_AES_128_GCM);
  kernel.Refuse(0, 0, EINVAL);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_HALF_SET);
  EXPECT_EQ(os_errno, EINVAL);
  kernel.Refuse(0, ENOTSUP, 0);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_NOT_SET);
  EXPECT_EQ(os_errno, ENOTSUP);
}

TEST(KernelTls, IsAKernelWithoutTheProtocolToldNoKeys) {
  FakeKernel kernel;
  int os_errno = 0;
  struct engine_traffic_keys keys = Keys(ENGINE_AES_128_GCM);
  kernel.Refuse(ENOENT, 0, 0);
  EXPECT_EQ(kernel_tls_set(-1, &keys, &os_errno), KERNEL_TLS_NOT_SET);
  EXPECT_EQ(os_errno, ENOENT);
  EXPECT_EQ(kernel.Order(), (Orders{"protocol"}));
}

TEST(KernelTls, DoesTheRealKernelRefuseWhatIsNoConnection) {
  int os_errno = 0;
  struct engine_traffic_keys keys = Keys(ENGINE_AES_128_GCM);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(kernel_tls_set(fd, &keys, &os_errno), KERNEL_TLS_NOT_SET);
  EXPECT_NE(os_errno, 0);
  close(fd);
}

TEST(KernelTls, DoesItFitTcpAlone) {
  for (int domain : {AF_INET, AF_INET6}) {
    int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(kernel_tls_fits(fd), fd >= 0) << domain;
    close(fd);
  }
  int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_FALSE(kernel_tls_fits(datagrams));
  EXPECT_FALSE(kernel_tls_fits(local));
  EXPECT_FALSE(kernel_tls_fits(-1));
  close(datagrams);
  close(local);
}

}  // namespace
