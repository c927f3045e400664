// A peer as tests in C++ hold it: freed with its owner, its bytes in strings.
#ifndef TLSAGENT_TESTS_SUPPORT_PEERS_H_
#define TLSAGENT_TESTS_SUPPORT_PEERS_H_

#include <algorithm>
#include <memory>
#include <string>

#include "tests/support/peer.h"
#include "tests/support/pki.h"

struct PeerFree {
  void operator()(struct peer *peer) const {
    peer_free(peer);
  }
};
using Peer = std::unique_ptr<struct peer, PeerFree>;

// The peer of a client: it shows the identity, and the usual one when that is null. As for all
// here, fd is taken over, and -1 makes one in memory; version is the only one it speaks, 0 for any.
inline Peer ServerPeer(int fd, int version = 0, const struct pki_identity *identity = nullptr) {
  struct peer_request request = {};
  request.server = true;
  request.identity = identity == nullptr ? pki_get()->server : identity;
  request.version = version;
  return Peer(peer_new(&request, fd));
}

// The peer of a server: it asks for host.test, trusts the root alone, and shows the identity, if
// any.
inline Peer ClientPeer(int fd, int version = 0, const struct pki_identity *identity = nullptr) {
  struct peer_request request = {};
  request.identity = identity;
  request.root = pki_get()->root;
  request.server_name = "host.test";
  request.version = version;
  return Peer(peer_new(&request, fd));
}

// Plaintext: as many bytes, or fewer at the end.
inline std::string ReadPeer(const Peer &peer, size_t len) {
  std::string out;
  char buffer[16384];
  size_t n = 1;
  while (out.size() < len && n > 0) {
    n = peer_read(peer.get(), buffer, std::min(sizeof(buffer), len - out.size()));
    out.append(buffer, n);
  }
  return out;
}

// Ciphertext of a peer in memory: all that is for the other end, and what comes from there.
inline std::string TakePeer(const Peer &peer) {
  std::string out;
  char buffer[16384];
  size_t n = 1;
  while (n > 0) {
    n = peer_take(peer.get(), buffer, sizeof(buffer));
    out.append(buffer, n);
  }
  return out;
}

inline void FeedPeer(const Peer &peer, const std::string &data) {
  peer_feed(peer.get(), data.data(), data.size());
}

#endif  // TLSAGENT_TESTS_SUPPORT_PEERS_H_
