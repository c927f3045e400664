#include <openssl/ssl.h>

#include "tests/unit/tls/harness.h"

namespace {

class EngineLateTest : public TlsTest {
 protected:
  // A server that may ask later, and a client that has a certificate, or not.
  Ends Shaken(int version = TLS1_3_VERSION, const pki_identity *client_identity = nullptr,
              tls_verify_mode mode = TLS_VERIFY_REQUIRED, bool client_agrees = true) {
    Change server = ServerChange();
    server.Trust(pki_get()->root->pem).Verify(mode);
    server.Set(TLS_SET_POST_HANDSHAKE_AUTH).post_handshake_auth = true;
    Change client = ClientChange();
    client.Versions(version, version);
    client.Set(TLS_SET_POST_HANDSHAKE_AUTH).post_handshake_auth = client_agrees;
    if (client_identity != nullptr) {
      client.Pair(client_identity);
    }
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    Ends ends(MakeClient(client_), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established()) << engine_error(ends.server.get())->text;
    ends.Read(true);  // tickets
    return ends;
  }
  std::string PeerOf(const Engine &engine) {
    struct engine_peer peer;
    EXPECT_EQ(engine_peer(engine.get(), arena_, &peer).code, STATUS_OK);
    return String(peer.der);
  }
  Context server_, client_;
  Arena arena_;
};

TEST_F(EngineLateTest, IsTheClientsCertificateKnownOnceItWasAskedFor) {
  Ends ends = Shaken(TLS1_3_VERSION, pki_get()->client);
  EXPECT_EQ(PeerOf(ends.server), "");
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  EXPECT_EQ(bytes_len(engine_output(ends.server.get())), 0u) << "it goes out with the next output";
  ends.Send(false, "who are you?");
  ends.Send(true, "me");
  EXPECT_EQ(PeerOf(ends.server), String(pki_get()->client->der));
  engine_chains chains;
  ASSERT_EQ(engine_peer_chains(ends.server.get(), arena_, &chains).code, STATUS_OK);
  EXPECT_EQ(chains.num_verified, 3u);
  EXPECT_EQ(chains.num_unverified, 2u);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE) << "and again";
  ends.Send(false, "still?");
  ends.Send(true, "yes");
}

TEST_F(EngineLateTest, DoesTheRequestGoOutWithARead) {
  Ends ends = Shaken(TLS1_3_VERSION, pki_get()->client);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  EXPECT_EQ(ends.Read(false), "");
  EXPECT_FALSE(ends.to_client.empty());
  EXPECT_EQ(ends.Read(true), "");
  EXPECT_EQ(ends.Read(false), "");
  EXPECT_EQ(PeerOf(ends.server), String(pki_get()->client->der));
}

TEST_F(EngineLateTest, DoesTheReadThatMeetsNoCertificateFail) {
  Ends ends = Shaken();
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ends.Send(false, "who are you?");
  engine_result last;
  EXPECT_EQ(ends.Read(false, &last), "");
  EXPECT_EQ(last, ENGINE_FAILED);
  EXPECT_STREQ(engine_error(ends.server.get())->reason, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
  EXPECT_TRUE(engine_failed(ends.server.get()));
  ends.Read(true, &last);
  EXPECT_EQ(last, ENGINE_FAILED) << "the alert";
  EXPECT_EQ(engine_error(ends.client.get())->alert, SSL_AD_CERTIFICATE_REQUIRED);
}

TEST_F(EngineLateTest, DoesTheReadThatMeetsABadCertificateFail) {
  Ends ends = Shaken(TLS1_3_VERSION, pki_get()->self_signed);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ends.Send(false, "who are you?");
  engine_result last;
  ends.Read(false, &last);
  EXPECT_EQ(last, ENGINE_FAILED);
  EXPECT_EQ(engine_error(ends.server.get())->kind, TLS_ERROR_VERIFY);
  EXPECT_EQ(PeerOf(ends.server), String(pki_get()->self_signed->der)) << "to show what was wrong";
}

TEST_F(EngineLateTest, MayAClientWithoutOneStayWhereItIsOptional) {
  Ends ends = Shaken(TLS1_3_VERSION, nullptr, TLS_VERIFY_OPTIONAL);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ends.Send(false, "who are you?");
  ends.Send(true, "nobody");
  EXPECT_EQ(PeerOf(ends.server), "");
}

// Every refusal leaves the connection as it was.
TEST_F(EngineLateTest, IsItSaidWhyNobodyCanBeAsked) {
  struct Row {
    const char *reason;
    int version;
    bool by_server;
    tls_verify_mode mode;
    bool client_agrees;
  };
  for (const Row &row : {
           Row{"NOT_SERVER", TLS1_3_VERSION, false, TLS_VERIFY_REQUIRED, true},
           Row{"EXTENSION_NOT_RECEIVED", TLS1_3_VERSION, true, TLS_VERIFY_REQUIRED, false},
           Row{"INVALID_CONFIG", TLS1_3_VERSION, true, TLS_VERIFY_NONE, true},
           Row{"WRONG_SSL_VERSION", TLS1_2_VERSION, true, TLS_VERIFY_OPTIONAL, true},
       }) {
    Ends ends = Shaken(row.version, nullptr, row.mode, row.client_agrees);
    engine *asking = row.by_server ? ends.server.get() : ends.client.get();
    EXPECT_EQ(engine_request_certificate(asking), ENGINE_FAILED) << row.reason;
    EXPECT_EQ(engine_error(asking)->kind, TLS_ERROR_TLS);
    EXPECT_STREQ(engine_error(asking)->library, "SSL");
    EXPECT_STREQ(engine_error(asking)->reason, row.reason);
    EXPECT_FALSE(engine_failed(asking));
    ends.Send(true, "go");
    ends.Send(false, "on");
  }
}

TEST_F(EngineLateTest, IsASecondRequestRefusedWhileTheFirstIsOut) {
  Ends ends = Shaken(TLS1_3_VERSION, pki_get()->client);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ends.Send(false, "who are you?");
  EXPECT_EQ(engine_request_certificate(ends.server.get()), ENGINE_FAILED);
  EXPECT_STREQ(engine_error(ends.server.get())->reason, "REQUEST_SENT");
  ends.Send(true, "me");
}

TEST_F(EngineLateTest, CanEitherEndChangeItsKeys) {
  Ends ends = Shaken();
  for (bool client : {true, false}) {
    engine *end = client ? ends.client.get() : ends.server.get();
    for (bool both : {false, true}) {
      ASSERT_EQ(engine_update_keys(end, both), ENGINE_DONE);
      ends.Send(client, "with other keys");
      ends.Send(!client, "so have I");
    }
  }
}

TEST_F(EngineLateTest, CanKeysChangeAgainBeforeAnythingWasSent) {
  Ends ends = Shaken();
  for (int i = 0; i < 5; i++) {
    ASSERT_EQ(engine_update_keys(ends.client.get(), true), ENGINE_DONE);
  }
  ends.Send(true, "with other keys");
  ends.Send(false, "so have I");
}

TEST_F(EngineLateTest, IsItSaidWhyKeysStay) {
  Ends old = Shaken(TLS1_2_VERSION, pki_get()->client);
  EXPECT_EQ(engine_update_keys(old.client.get(), false), ENGINE_FAILED);
  EXPECT_STREQ(engine_error(old.client.get())->reason, "WRONG_SSL_VERSION");
  old.Send(true, "go on");
  Engine fresh = MakeClient(client_);
  EXPECT_EQ(engine_update_keys(fresh.get(), false), ENGINE_FAILED);
  EXPECT_FALSE(engine_failed(fresh.get()));
}

TEST_F(EngineLateTest, CanTheStreamEndWhileSomethingIsStillToGoOut) {
  Ends ends = Shaken(TLS1_3_VERSION, pki_get()->client);
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ASSERT_EQ(engine_shutdown_send(ends.server.get()), ENGINE_DONE);
  ends.to_client.TakeFrom(ends.server.get());
  engine_result last;
  EXPECT_EQ(ends.Read(true, &last), "");
  EXPECT_EQ(last, ENGINE_CLOSED);
  for (bool request : {true, false}) {
    EXPECT_EQ(request ? engine_request_certificate(ends.server.get())
                      : engine_update_keys(ends.server.get(), false),
              ENGINE_FAILED);
    EXPECT_STREQ(engine_error(ends.server.get())->reason, "PROTOCOL_IS_SHUTDOWN");
  }
}

}  // namespace
