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
    Ends ends(MakeClient(client_, "host.test", resumption.der), MakeServer(server_));
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
  EXPECT_STREQ(Refused(client_, Slice("rubbish")).detail, "not a session");
  std::string longer = String(resumption.der) + "x";
  EXPECT_STREQ(Refused(client_, Slice(longer)).detail, "not a session");
  std::string shorter = String(resumption.der).substr(0, resumption.der.len - 1);
  EXPECT_STREQ(Refused(client_, Slice(shorter)).detail, "not a session");
}

// Resumption must not be a way around the verification.
TEST_F(EngineResumptionTest, IsASessionWithAnotherHostRefused) {
  Change server;
  server.Pair(pki_get()->wrong_host);
  Change client = ClientChange();
  Make(0x304, client, server);
  struct engine_resumption resumption = First("other.test");
  EXPECT_NE(std::string(Refused(client_, resumption.der).detail).find("another server"),
            std::string::npos);
}

TEST_F(EngineResumptionTest, IsAnUnverifiedSessionRefusedWhereOneVerifies) {
  Change server;
  server.Pair(pki_get()->self_signed);
  Change lax;
  lax.Verify(TLS_VERIFY_NONE).CheckHostname(false);
  Make(0x304, lax, server);
  struct engine_resumption resumption = First();
  EXPECT_TRUE(Resumes(resumption));
  Change strict_change = ClientChange();
  Context strict = MakeContext(TLS_CONTEXT_CLIENT, strict_change);
  EXPECT_NE(std::string(Refused(strict, resumption.der).detail).find("was not verified"),
            std::string::npos);
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
