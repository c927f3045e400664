#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "tests/support/peers.h"
#include "tests/unit/tls/harness.h"

namespace {

class EngineBindingTest : public TlsTest {
 protected:
  Ends Shaken(int version, slice resumption = slice_of(nullptr, 0),
              const pki_identity *identity = nullptr) {
    if (server_ == nullptr) {
      Change server;
      server.Pair(identity == nullptr ? pki_get()->server : identity);
      Change client = ClientChange();
      client.Versions(version, version);
      server_ = MakeContext(TLS_CONTEXT_SERVER, server);
      client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    }
    Ends ends(MakeClient(client_, "host.test", resumption), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established());
    ends.Read(true);
    return ends;
  }
  std::string Export(const Engine &engine, const char *label, const slice *context, size_t len) {
    std::vector<uint8_t> out(len);
    Error error;
    EXPECT_EQ(engine_export(engine.get(), label, context, out.data(), len, &error).code, STATUS_OK);
    return std::string(out.begin(), out.end());
  }
  // "" when there is none.
  std::string Bind(const Engine &engine, enum engine_binding kind) {
    slice data = slice_of(nullptr, 0);
    status_t status = engine_channel_binding(engine.get(), kind, arena_, &data);
    EXPECT_EQ(status_ok(status), data.len > 0);
    EXPECT_TRUE(status_ok(status) || status.code == STATUS_NOT_FOUND);
    return String(data);
  }
  Context server_, client_;
  Arena arena_;
};

TEST_F(EngineBindingTest, DoBothEndsDeriveTheSame) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_.reset();
    Ends ends = Shaken(version);
    const slice empty = slice_of(nullptr, 0);
    const slice word = Slice("context");
    std::string none = Export(ends.client, "EXPERIMENTAL x", nullptr, 40);
    EXPECT_EQ(Export(ends.server, "EXPERIMENTAL x", nullptr, 40), none);
    EXPECT_NE(Export(ends.client, "EXPERIMENTAL y", nullptr, 40), none);
    EXPECT_NE(Export(ends.client, "EXPERIMENTAL x", &word, 40), none);
    EXPECT_EQ(Export(ends.client, "EXPERIMENTAL x", &empty, 40) == none, version == TLS1_3_VERSION)
        << "TLS 1.2 tells absent from empty";
    EXPECT_EQ(Export(ends.client, "EXPERIMENTAL x", nullptr, ENGINE_EXPORT_MAX).size(), 4096u);
  }
}

// OpenSSL itself at the other end.
TEST_F(EngineBindingTest, IsItWhatOpensslDerives) {
  Change change = ClientChange();
  Context context = MakeContext(TLS_CONTEXT_CLIENT, change);
  Engine client = MakeClient(context);
  Peer peer = ServerPeer(-1);
  Wire wire;
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    wire.content() += TakePeer(peer);
    wire.ShowTo(client.get());
    done = engine_handshake(client.get()) == ENGINE_DONE;
    wire.Done(client.get());
    Wire back;
    back.TakeFrom(client.get());
    FeedPeer(peer, back.content());
    done = peer_handshake(peer.get()) && done;
  }
  ASSERT_TRUE(done);
  const char label[] = "EXPORTER-Channel-Binding";
  unsigned char theirs[32];
  ASSERT_EQ(SSL_export_keying_material(peer_ssl(peer.get()), theirs, sizeof(theirs), label,
                                       strlen(label), theirs, 0, 1),
            1);
  EXPECT_EQ(Bind(client, ENGINE_BINDING_EXPORTER), String(slice_of(theirs, sizeof(theirs))));
}

TEST_F(EngineBindingTest, IsThereNothingBeforeTheHandshake) {
  Ends shaken = Shaken(TLS1_3_VERSION);
  Engine fresh = MakeClient(client_);
  uint8_t out[8];
  Error error;
  EXPECT_EQ(engine_export(fresh.get(), "x", nullptr, out, sizeof(out), &error).code,
            STATUS_FAILED_PRECONDITION);
  for (auto kind : {ENGINE_BINDING_UNIQUE, ENGINE_BINDING_EXPORTER, ENGINE_BINDING_END_POINT}) {
    EXPECT_EQ(Bind(fresh, kind), "");
  }
}

TEST_F(EngineBindingTest, IsALabelOfTheProtocolsOwnRefused) {
  Ends ends = Shaken(TLS1_2_VERSION);
  uint8_t out[8];
  Error error;
  EXPECT_EQ(
      engine_export(ends.client.get(), "client finished", nullptr, out, sizeof(out), &error).code,
      STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error.item, "label");
  EXPECT_STREQ(error.reason, "TLS_ILLEGAL_EXPORTER_LABEL");
}

TEST_F(EngineBindingTest, IsTlsUniqueTheSameAtBothEndsAlsoWhenResumed) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_.reset();
    Ends first = Shaken(version);
    std::string unique = Bind(first.client, ENGINE_BINDING_UNIQUE);
    EXPECT_EQ(Bind(first.server, ENGINE_BINDING_UNIQUE), unique);
    EXPECT_GE(unique.size(), 12u);
    struct engine_resumption resumption;
    ASSERT_EQ(engine_resumption(first.client.get(), arena_, &resumption).code, STATUS_OK);
    Ends second = Shaken(version, resumption.sealed);
    struct engine_negotiated agreed;
    ASSERT_EQ(engine_negotiated(second.server.get(), arena_, &agreed).code, STATUS_OK);
    EXPECT_TRUE(agreed.resumed);
    EXPECT_EQ(Bind(second.client, ENGINE_BINDING_UNIQUE),
              Bind(second.server, ENGINE_BINDING_UNIQUE));
    EXPECT_NE(Bind(second.client, ENGINE_BINDING_UNIQUE), unique);
    EXPECT_EQ(Bind(second.client, ENGINE_BINDING_END_POINT),
              Bind(first.server, ENGINE_BINDING_END_POINT));
    EXPECT_EQ(Bind(second.server, ENGINE_BINDING_END_POINT), "") << "it has shown no certificate";
  }
}

TEST_F(EngineBindingTest, IsTheEndPointTheDigestOfTheServersCertificate) {
  Ends ends = Shaken(TLS1_3_VERSION);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  slice der = pki_get()->server->der;
  ASSERT_TRUE(EVP_Digest(der.data, der.len, hash, &len, EVP_sha256(), nullptr));
  EXPECT_EQ(Bind(ends.client, ENGINE_BINDING_END_POINT), String(slice_of(hash, len)));
  EXPECT_EQ(Bind(ends.server, ENGINE_BINDING_END_POINT), String(slice_of(hash, len)));
}

TEST_F(EngineBindingTest, HasACertificateWithoutADigestNoEndPoint) {
  pki_request root_request = {};
  root_request.name = "root";
  root_request.key = PKI_ED25519;
  root_request.ca = true;
  pki_identity *root = pki_issue(&root_request);
  pki_request request = {};
  request.name = "host.test";
  request.issuer = root;
  request.alt_names = "DNS:host.test";
  pki_identity *identity = pki_issue(&request);
  Change server;
  server.Pair(identity);
  Change client;
  client.Trust(root->pem);
  server_ = MakeContext(TLS_CONTEXT_SERVER, server);
  client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  Ends ends = Shaken(TLS1_3_VERSION);
  EXPECT_EQ(Bind(ends.client, ENGINE_BINDING_END_POINT), "");
  EXPECT_NE(Bind(ends.client, ENGINE_BINDING_EXPORTER), "");
  pki_free(identity);
  pki_free(root);
}

}  // namespace
