#include "server/tls/engine_callbacks.h"

#include <openssl/ssl.h>

#include "server/tls/engine_private.h"
#include "tests/unit/tls/harness.h"

namespace {

class EngineCallbacksTest : public TlsTest {
 protected:
  void SetUp() override {
    Change server = ServerChange();
    Change client = ClientChange();
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  }
  Context server_;
  Context client_;
};

TEST_F(EngineCallbacksTest, IsCloseNotifyNoAlertToRecord) {
  Ends ends(MakeClient(client_), MakeServer(server_));
  ends.Shake();
  engine_shutdown_send(ends.client.get());
  ends.to_server.TakeFrom(ends.client.get());
  engine_result last;
  ends.Read(false, &last);
  EXPECT_EQ(last, ENGINE_CLOSED);
  EXPECT_EQ(ends.client->alert, TLS_ALERT_NONE);
  EXPECT_EQ(ends.server->alert, TLS_ALERT_NONE);
}

TEST_F(EngineCallbacksTest, IsAnAlertRecordedOnBothSides) {
  Ends ends(MakeClient(client_, "wrong.test"), MakeServer(server_));
  ends.Shake();
  EXPECT_EQ(ends.client->alert, SSL_AD_BAD_CERTIFICATE);
  EXPECT_EQ(ends.server->alert, SSL_AD_BAD_CERTIFICATE);
}

TEST_F(EngineCallbacksTest, IsARefusedChainKeptAsItWasSent) {
  Ends ends(MakeClient(client_, "wrong.test"), MakeServer(server_));
  ends.Shake();
  ASSERT_NE(ends.client->refused_chain, nullptr);
  ASSERT_EQ(sk_X509_num(ends.client->refused_chain), 2);
  EXPECT_EQ(X509_cmp(sk_X509_value(ends.client->refused_chain, 0), pki_get()->server->certificate),
            0);
}

TEST_F(EngineCallbacksTest, IsAGoodChainNotKeptTwice) {
  Ends ends(MakeClient(client_), MakeServer(server_));
  ends.Shake();
  EXPECT_EQ(ends.client->refused_chain, nullptr);
}

TEST_F(EngineCallbacksTest, IsAnSslOfNobodyLeftAlone) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_method());
  engine_set_callbacks(ctx);
  SSL *ssl = SSL_new(ctx);
  BIO *bio = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  BIO_puts(bio, "rubbish that ends in an alert");
  EXPECT_LE(SSL_do_handshake(ssl), 0);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
}

}  // namespace
