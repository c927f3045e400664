#include "server/session/kernel_tls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static int option_of(int fd, int name) {
  int value = 0;
  socklen_t len = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : 0;
}

bool kernel_tls_fits(int fd) {
  int domain = option_of(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) && option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

// What setsockopt takes; which of them, and so how long, the cipher says.
union crypto_info {
  struct tls_crypto_info info;
  struct tls12_crypto_info_aes_gcm_128 aes_128;
  struct tls12_crypto_info_aes_gcm_256 aes_256;
  struct tls12_crypto_info_chacha20_poly1305 chacha20;
};

static void put_number(uint8_t out[8], uint64_t number) {
  for (int i = 7; i >= 0; i--) {
    out[i] = (uint8_t)number;
    number >>= 8;
  }
}

// The kernel's names for TLS 1.3's IV: of AES-GCM the first four bytes are the "salt".
#define FILL_GCM(to, from)                                               \
  do {                                                                   \
    memcpy((to)->key, (from)->key, sizeof((to)->key));                   \
    memcpy((to)->salt, (from)->iv, sizeof((to)->salt));                  \
    memcpy((to)->iv, (from)->iv + sizeof((to)->salt), sizeof((to)->iv)); \
    put_number((to)->rec_seq, (from)->sequence);                         \
  } while (0)

static socklen_t fill(union crypto_info *out, enum engine_record_cipher cipher,
                      const struct engine_traffic_key *key) {
  switch (cipher) {
    case ENGINE_AES_128_GCM:
      out->info.cipher_type = TLS_CIPHER_AES_GCM_128;
      FILL_GCM(&out->aes_128, key);
      return sizeof(out->aes_128);
    case ENGINE_AES_256_GCM:
      out->info.cipher_type = TLS_CIPHER_AES_GCM_256;
      FILL_GCM(&out->aes_256, key);
      return sizeof(out->aes_256);
    case ENGINE_CHACHA20_POLY1305:
      break;
  }
  out->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
  memcpy(out->chacha20.key, key->key, sizeof(out->chacha20.key));
  memcpy(out->chacha20.iv, key->iv, sizeof(out->chacha20.iv));
  put_number(out->chacha20.rec_seq, key->sequence);
  return sizeof(out->chacha20);
}

static bool set_direction(int fd, int direction, const struct engine_traffic_keys *keys,
                          const struct engine_traffic_key *key, int *out_errno) {
  union crypto_info info = {.info = {.version = (uint16_t)keys->version}};
  socklen_t len = fill(&info, keys->cipher, key);
  bool set = setsockopt(fd, SOL_TLS, direction, &info, len) == 0;
  *out_errno = set ? 0 : errno;
  explicit_bzero(&info, sizeof(info));
  return set;
}

// Without keys the kernel's protocol passes bytes on as they are.
static bool set_protocol(int fd, int *out_errno) {
  static const char name[] = "tls";
  bool set = setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) == 0;
  *out_errno = set ? 0 : errno;
  return set;
}

enum kernel_tls_result kernel_tls_set(int fd, const struct engine_traffic_keys *keys,
                                      int *out_errno) {
  if (!set_protocol(fd, out_errno) || !set_direction(fd, TLS_TX, keys, &keys->send, out_errno)) {
    return KERNEL_TLS_NOT_SET;
  }
  return set_direction(fd, TLS_RX, keys, &keys->receive, out_errno) ? KERNEL_TLS_SET
                                                                    : KERNEL_TLS_HALF_SET;
}
