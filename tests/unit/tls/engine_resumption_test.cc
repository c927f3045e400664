#include <openssl/x509_vfy.h>

#include "server/tls/engine_private.h"
#include "tests/unit/tls/harness.h"

namespace {

class EngineResumptionTest : public TlsTest {
 protected:
  void Make(int version, Change &client, Change &server) {
    client.Versions(version, version);
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  }
  void Make(int version) {
    Change server = ServerChange();
    Change client = ClientChange();
    Make(version, client, server);
  }
  // A first connection, and what can be resumed of it.
  struct engine_resumption First(const char *name = "host.test") {
    Ends ends(MakeClient(client_, name), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established())
        << engine_error(ends.client.get())->verify_message << engine_error(ends.server.get())->text;
    ends.Read(true);  // TLS 1.3's tickets
    struct engine_resumption resumption;
    EXPECT_EQ(engine_resumption(ends.client.get(), arena_, &resumption).code, STATUS_OK);
    EXPECT_TRUE(resumption.present);
    return resumption;
  }
  // Whether a second one resumes it.
  bool Resumes(const struct engine_resumption &resumption) {
    Ends ends(MakeClient(client_, "host.test", resumption.sealed), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established()) << engine_error(ends.client.get())->text;
    ends.Send(true, "ping");
    struct engine_negotiated agreed;
    EXPECT_EQ(engine_negotiated(ends.client.get(), arena_, &agreed).code, STATUS_OK);
    return agreed.resumed;
  }
  Error Refused(const Context &context, slice resumption, const char *name = "host.test") {
    const engine_config config = {ENGINE_CLIENT, name, resumption};
    engine *made = nullptr;
    Error error;
    EXPECT_EQ(engine_new(context.get(), &config, &made, &error).code, STATUS_INVALID_ARGUMENT);
    EXPECT_STREQ(error.item, "resumption");
    return error;
  }
  Context server_, client_;
  Arena arena_;
};

TEST_F(EngineResumptionTest, IsASessionResumedInEitherVersion) {
  for (int version : {0x303, 0x304}) {
    Make(version);
    struct engine_resumption resumption = First();
    EXPECT_TRUE(resumption.resumable);
    EXPECT_TRUE(resumption.has_ticket);
    EXPECT_GT(resumption.timeout, 0);
    EXPECT_GT(resumption.time, 1700000000);
    EXPECT_GT(resumption.ticket_lifetime_hint, 0u);
    EXPECT_TRUE(Resumes(resumption));
  }
}

TEST_F(EngineResumptionTest, IsItResumedByIdWithoutTickets) {
  Change server = ServerChange();
  server.Set(TLS_SET_OPTIONS).options = 1 << 14;  // SSL_OP_NO_TICKET
  Change client = ClientChange();
  Make(0x303, client, server);
  struct engine_resumption resumption = First();
  EXPECT_FALSE(resumption.has_ticket);
  EXPECT_EQ(resumption.id.len, 32u);
  EXPECT_TRUE(Resumes(resumption));
  tls_context_info info;
  ASSERT_EQ(tls_context_describe(server_.get(), arena_, &info).code, STATUS_OK);
  EXPECT_EQ(info.sessions.hits, 1);
  EXPECT_EQ(info.sessions.number, 1);
}

TEST_F(EngineResumptionTest, IsItResumedWithClientCertificates) {
  for (int version : {0x303, 0x304}) {
    Change server = ServerChange();
    server.Trust(pki_get()->root->pem).Verify(TLS_VERIFY_REQUIRED);
    Change client = ClientChange();
    client.Pair(pki_get()->client);
    Make(version, client, server);
    EXPECT_TRUE(Resumes(First()));
  }
}

TEST_F(EngineResumptionTest, DoesItSurviveAChangeOfTheServerThatLeavesVerificationAlone) {
  Make(0x304);
  struct engine_resumption resumption = First();
  Change renewed = ServerChange();
  Error error;
  ASSERT_EQ(tls_context_configure(server_.get(), renewed.get(), &error).code, STATUS_OK);
  EXPECT_TRUE(Resumes(resumption));
  Change stricter;
  stricter.Trust(pki_get()->root->pem);
  ASSERT_EQ(tls_context_configure(server_.get(), stricter.get(), &error).code, STATUS_OK);
  EXPECT_FALSE(Resumes(resumption));
}

TEST_F(EngineResumptionTest, IsThereNothingBeforeTheHandshake) {
  Make(0x304);
  Engine client = MakeClient(client_);
  struct engine_resumption resumption;
  EXPECT_EQ(engine_resumption(client.get(), arena_, &resumption).code, STATUS_OK);
  EXPECT_FALSE(resumption.present);
}

TEST_F(EngineResumptionTest, IsRubbishRefused) {
  Make(0x304);
  struct engine_resumption resumption = First();
  Refused(client_, Slice("rubbish"));
  const std::string good = String(resumption.sealed);
  Refused(client_, Slice(good + "x"));
  for (size_t at = 0; at < good.size(); at += 13) {
    std::string changed = good;
    changed[at] ^= 1;
    Refused(client_, Slice(changed));
    Refused(client_, Slice(good.substr(0, at == 0 ? 1 : at)));
  }
}

TEST_F(EngineResumptionTest, IsNoKeyToBeSeenInIt) {
  Make(0x303);
  struct engine_resumption resumption = First();
  const std::string sealed = String(resumption.sealed);
  EXPECT_EQ(sealed.find(String(pki_get()->server->der).substr(0, 100)), std::string::npos);
  EXPECT_NE(String(First().sealed), sealed);
}

// Of another owner, of another context of the same settings.
TEST_F(EngineResumptionTest, IsItGoodForItsOwnerAndContextAlone) {
  Make(0x304);
  struct engine_resumption resumption = First();
  engine_config config = {ENGINE_CLIENT, "host.test", resumption.sealed, 0, Slice("somebody else")};
  engine *made = nullptr;
  Error error;
  EXPECT_EQ(engine_new(client_.get(), &config, &made, &error).code, STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error.item, "resumption");
  Change same = ClientChange();
  same.Versions(0x304, 0x304);
  Refused(MakeContext(TLS_CONTEXT_CLIENT, same), resumption.sealed);
  Change more;
  more.Alpn({"h2"});
  ASSERT_EQ(tls_context_configure(client_.get(), more.get(), &error).code, STATUS_OK);
  EXPECT_TRUE(Resumes(resumption)) << "another edition of the same";
}

// Resumption must not be a way around the verification: the handshake is a full one then.
TEST_F(EngineResumptionTest, IsASessionWithAnotherHostNotOffered) {
  Change server;
  server.Pair(pki_get()->wrong_host);
  Change client = ClientChange();
  Make(0x304, client, server);
  struct engine_resumption resumption = First("other.test");
  Ends ends(MakeClient(client_, "host.test", resumption.sealed), MakeServer(server_));
  ends.Shake();
  EXPECT_FALSE(ends.established());
  EXPECT_EQ(engine_error(ends.client.get())->verify_code, X509_V_ERR_HOSTNAME_MISMATCH);
}

// A name in a certificate that looks like an address is none.
TEST_F(EngineResumptionTest, IsASessionWithAnAddressForANameNotOffered) {
  pki_request request = {};
  request.name = "host.test";
  request.issuer = pki_get()->root;
  request.alt_names = "DNS:127.0.0.1";
  pki_identity *identity = pki_issue(&request);
  Change server;
  server.Pair(identity);
  Change lax = ClientChange();
  lax.CheckHostname(false);
  Make(0x304, lax, server);
  struct engine_resumption resumption = First("127.0.0.1");
  Change strict;
  strict.CheckHostname(true);
  Error error;
  ASSERT_EQ(tls_context_configure(client_.get(), strict.get(), &error).code, STATUS_OK);
  Ends ends(MakeClient(client_, "127.0.0.1", resumption.sealed), MakeServer(server_));
  ends.Shake();
  EXPECT_FALSE(ends.established());
  EXPECT_EQ(engine_error(ends.client.get())->verify_code, X509_V_ERR_IP_ADDRESS_MISMATCH);
  pki_free(identity);
}

TEST_F(EngineResumptionTest, IsAnAddressResumed) {
  Make(0x304);
  struct engine_resumption resumption = First("127.0.0.1");
  Ends ends(MakeClient(client_, "127.0.0.1", resumption.sealed), MakeServer(server_));
  ends.Shake();
  struct engine_negotiated agreed;
  ASSERT_EQ(engine_negotiated(ends.client.get(), arena_, &agreed).code, STATUS_OK);
  EXPECT_TRUE(agreed.resumed);
}

TEST_F(EngineResumptionTest, IsASessionWhoseTimeIsOverNotOffered) {
  for (int version : {0x303, 0x304}) {
    Make(version);
    Ends ends(MakeClient(client_), MakeServer(server_));
    ends.Shake();
    ends.Read(true);
    SSL_SESSION *session = SSL_get_session(ends.client.get()->ssl);
    struct engine_resumption resumption;
    for (long left : {1000, -1000}) {
      SSL_SESSION_set_time(session, (long)time(nullptr) - SSL_SESSION_get_timeout(session) + left);
      ASSERT_EQ(engine_resumption(ends.client.get(), arena_, &resumption).code, STATUS_OK);
      Engine client = MakeClient(client_, "host.test", resumption.sealed);
      EXPECT_EQ(SSL_get_session(client.get()->ssl) != nullptr, left > 0);
    }
    EXPECT_FALSE(Resumes(resumption));
  }
}

// It would make a server of the client that has shown a certificate.
TEST_F(EngineResumptionTest, IsAServersSessionOfferedByNobody) {
  Change change = ServerChange();
  change.Trust(pki_get()->root->pem);
  server_ = MakeContext(TLS_CONTEXT_BOTH, change);
  Ends ends(MakeClient(server_), MakeServer(server_));
  ends.Shake();
  ends.Read(true);
  struct engine_resumption resumption;
  ASSERT_EQ(engine_resumption(ends.server.get(), arena_, &resumption).code, STATUS_OK);
  Refused(server_, resumption.sealed);
  ASSERT_EQ(engine_resumption(ends.client.get(), arena_, &resumption).code, STATUS_OK);
  EXPECT_NE(MakeClient(server_, "host.test", resumption.sealed), nullptr);
}

TEST_F(EngineResumptionTest, IsAnUnverifiedSessionNotOfferedWhereOneVerifies) {
  Change server;
  server.Pair(pki_get()->self_signed);
  Change lax;
  lax.Verify(TLS_VERIFY_NONE).CheckHostname(false);
  Make(0x304, lax, server);
  struct engine_resumption resumption = First();
  EXPECT_TRUE(Resumes(resumption));
  Change strict;
  strict.Verify(TLS_VERIFY_REQUIRED).CheckHostname(true);
  Error error;
  ASSERT_EQ(tls_context_configure(client_.get(), strict.get(), &error).code, STATUS_OK);
  Ends refused(MakeClient(client_, "host.test", resumption.sealed), MakeServer(server_));
  refused.Shake();
  EXPECT_FALSE(refused.established());
  Change trusting;
  trusting.Trust(pki_get()->self_signed->pem);
  ASSERT_EQ(tls_context_configure(client_.get(), trusting.get(), &error).code, STATUS_OK);
  EXPECT_FALSE(Resumes(resumption)) << "which verified now, in full";
  EXPECT_TRUE(Resumes(First()));
}

// SSL_get1_session(3) gives it before there is a ticket, too.
TEST_F(EngineResumptionTest, IsThereOneBeforeTheTicket) {
  Make(0x304);
  Ends ends(MakeClient(client_), MakeServer(server_));
  ends.Shake();
  struct engine_resumption resumption;
  ASSERT_EQ(engine_resumption(ends.client.get(), arena_, &resumption).code, STATUS_OK);
  EXPECT_TRUE(resumption.present);
  EXPECT_FALSE(resumption.resumable);
  EXPECT_FALSE(resumption.has_ticket);
  EXPECT_FALSE(Resumes(resumption));
  ends.Read(true);
  ASSERT_EQ(engine_resumption(ends.client.get(), arena_, &resumption).code, STATUS_OK);
  EXPECT_TRUE(resumption.has_ticket);
  EXPECT_TRUE(Resumes(resumption));
  ASSERT_EQ(engine_resumption(ends.server.get(), arena_, &resumption).code, STATUS_OK);
  EXPECT_TRUE(resumption.present) << "a server's can be asked for as well";
}

TEST_F(EngineResumptionTest, IsAFullArenaSaid) {
  Make(0x304);
  Ends ends(MakeClient(client_), MakeServer(server_));
  ends.Shake();
  Arena small(64);
  struct engine_resumption resumption;
  EXPECT_EQ(engine_resumption(ends.client.get(), small, &resumption).code,
            STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
