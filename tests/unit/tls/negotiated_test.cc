#include <openssl/ssl.h>

#include "tests/unit/tls/harness.h"

namespace {

class NegotiatedTest : public TlsTest {
 protected:
  Ends Shaken(Change &client_change, Change &server_change) {
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client_change);
    server_ = MakeContext(TLS_CONTEXT_SERVER, server_change);
    Ends ends(MakeClient(client_), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established()) << engine_error(ends.client.get())->text;
    return ends;
  }
  struct engine_negotiated Of(const Engine &engine) {
    struct engine_negotiated agreed;
    EXPECT_EQ(engine_negotiated(engine.get(), arena_, &agreed).code, STATUS_OK);
    return agreed;
  }
  Context client_, server_;
  Arena arena_;
};

TEST_F(NegotiatedTest, IsATls13SessionDescribed) {
  Change client = ClientChange();
  Change server = ServerChange();
  Ends ends = Shaken(client, server);
  struct engine_negotiated agreed = Of(ends.client);
  EXPECT_EQ(agreed.version, 0x304);
  EXPECT_STREQ(agreed.version_name, "TLSv1.3");
  EXPECT_STREQ(agreed.cipher.name, "TLS_AES_256_GCM_SHA384");
  EXPECT_STREQ(agreed.peer_signature, "ECDSA+SHA256");
  EXPECT_STREQ(agreed.server_name, "host.test");
  EXPECT_STRNE(agreed.group, "");
  EXPECT_FALSE(agreed.resumed);
  EXPECT_EQ(agreed.alpn.len, 0u);
  EXPECT_STREQ(Of(ends.server).peer_signature, "");
  EXPECT_STREQ(Of(ends.server).server_name, "host.test");
}

TEST_F(NegotiatedTest, IsTheGroupCalledAsOpensslCallsIt) {
  struct Row {
    const char *setting;
    const char *name;
  };
  for (const Row &row : {Row{"X25519", "x25519"}, Row{"P-256", "secp256r1"},
                         Row{"P-384", "secp384r1"}, Row{"ffdhe2048", "ffdhe2048"}}) {
    Change client = ClientChange();
    client.Set(TLS_SET_GROUPS).groups = row.setting;
    Change server = ServerChange();
    server.Set(TLS_SET_GROUPS).groups = row.setting;
    Ends ends = Shaken(client, server);
    EXPECT_STREQ(Of(ends.client).group, row.name);
    EXPECT_STREQ(Of(ends.server).group, row.name);
  }
}

TEST_F(NegotiatedTest, IsATls12SessionDescribed) {
  Change client = ClientChange();
  client.Versions(0x303, 0x303);
  Change server;
  server.Pair(pki_get()->server_rsa);
  Ends ends = Shaken(client, server);
  struct engine_negotiated agreed = Of(ends.client);
  EXPECT_STREQ(agreed.version_name, "TLSv1.2");
  EXPECT_STREQ(agreed.cipher.name, "ECDHE-RSA-AES256-GCM-SHA384");
  EXPECT_STREQ(agreed.peer_signature, "RSA-PSS+SHA256");
  EXPECT_STREQ(agreed.group, "x25519");
}

TEST_F(NegotiatedTest, IsASignatureWithoutDigestCalledByItsNameAlone) {
  pki_request request = {};
  request.name = "host.test";
  request.key = PKI_ED25519;
  request.issuer = pki_get()->intermediate;
  request.alt_names = "DNS:host.test";
  pki_identity *identity = pki_issue(&request);
  Change client = ClientChange();
  Change server;
  server.Pair(identity);
  Ends ends = Shaken(client, server);
  EXPECT_STREQ(Of(ends.client).peer_signature, "ed25519");
  pki_free(identity);
}

TEST_F(NegotiatedTest, AreBothChainsGivenOwnCertificateFirst) {
  const struct pki *pki = pki_get();
  Change client = ClientChange();
  client.Pair(pki->client);
  Change server = ServerChange();
  server.Trust(pki->root->pem).Verify(TLS_VERIFY_REQUIRED);
  Ends ends = Shaken(client, server);
  struct Row {
    engine *end;
    const pki_identity *peer;
  };
  for (const Row &row :
       {Row{ends.client.get(), pki->server}, Row{ends.server.get(), pki->client}}) {
    engine_chains chains;
    ASSERT_EQ(engine_peer_chains(row.end, arena_, &chains).code, STATUS_OK);
    ASSERT_EQ(chains.num_verified, 3u);
    EXPECT_EQ(String(chains.verified[0]), String(row.peer->der));
    EXPECT_EQ(String(chains.verified[2]), String(pki->root->der));
    ASSERT_EQ(chains.num_unverified, 2u);
    EXPECT_EQ(String(chains.unverified[0]), String(row.peer->der));
    EXPECT_EQ(String(chains.unverified[1]), String(pki->intermediate->der));
  }
}

TEST_F(NegotiatedTest, IsAPeerWithoutCertificateEmpty) {
  Change client = ClientChange();
  Change server = ServerChange();
  Ends ends = Shaken(client, server);
  struct engine_peer peer;
  ASSERT_EQ(engine_peer(ends.server.get(), arena_, &peer).code, STATUS_OK);
  EXPECT_EQ(peer.der.len, 0u);
  engine_chains chains;
  ASSERT_EQ(engine_peer_chains(ends.server.get(), arena_, &chains).code, STATUS_OK);
  EXPECT_EQ(chains.num_unverified, 0u);
  EXPECT_EQ(chains.num_verified, 0u);
}

TEST_F(NegotiatedTest, HasAResumedSessionItsPeerStill) {
  Change client = ClientChange();
  Change server = ServerChange();
  Ends first = Shaken(client, server);
  first.Read(true);
  struct engine_resumption resumption;
  ASSERT_EQ(engine_resumption(first.client.get(), arena_, &resumption).code, STATUS_OK);
  Ends ends(MakeClient(client_, "host.test", resumption.sealed), MakeServer(server_));
  ends.Shake();
  EXPECT_TRUE(Of(ends.client).resumed);
  engine_chains chains;
  ASSERT_EQ(engine_peer_chains(ends.client.get(), arena_, &chains).code, STATUS_OK);
  ASSERT_GE(chains.num_unverified, 1u);
  EXPECT_EQ(String(chains.unverified[0]), String(pki_get()->server->der));
}

// As shared_ciphers() of Python has them.
TEST_F(NegotiatedTest, AreTheSharedCiphersInTheServersOrder) {
  Change client = ClientChange();
  client.Versions(0x303, 0x303)
      .Ciphers(
          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
          "ECDHE-ECDSA-AES256-GCM-SHA384");
  Change server = ServerChange();
  server.Versions(0x303, 0x303)
      .Ciphers(
          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-SHA384:"
          "ECDHE-ECDSA-AES128-GCM-SHA256");
  Ends ends = Shaken(client, server);
  tls_cipher_info *ciphers;
  size_t num;
  ASSERT_EQ(engine_shared_ciphers(ends.server.get(), arena_, &ciphers, &num).code, STATUS_OK);
  ASSERT_EQ(num, 2u);
  EXPECT_STREQ(ciphers[0].name, "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_STREQ(ciphers[1].name, "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(engine_shared_ciphers(ends.client.get(), arena_, &ciphers, &num).code,
            STATUS_FAILED_PRECONDITION);
  Engine fresh = MakeServer(server_);
  EXPECT_EQ(engine_shared_ciphers(fresh.get(), arena_, &ciphers, &num).code,
            STATUS_FAILED_PRECONDITION);
}

TEST_F(NegotiatedTest, IsAFullArenaSaid) {
  Change client = ClientChange();
  Change server = ServerChange();
  Ends ends = Shaken(client, server);
  Arena small(16);
  struct engine_negotiated agreed;
  EXPECT_EQ(engine_negotiated(ends.client.get(), small, &agreed).code, STATUS_RESOURCE_EXHAUSTED);
  struct engine_peer peer;
  EXPECT_EQ(engine_peer(ends.client.get(), small, &peer).code, STATUS_RESOURCE_EXHAUSTED);
  engine_chains chains;
  EXPECT_EQ(engine_peer_chains(ends.client.get(), small, &chains).code, STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
