#include <openssl/ssl.h>

#include "tests/unit/tls/harness.h"

namespace {

class EngineSwitch : public TlsTest {
 protected:
  EngineSwitch() {
    Change client = ClientChange();
    client.Alpn({"first", "second"});
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    Change asking = ServerChange();
    asking.Set(TLS_SET_DECISIONS).decisions.server_name = true;
    asking.Alpn({"first"});
    asking_ = MakeContext(TLS_CONTEXT_SERVER, asking);
    Change other;
    other.Pair(pki_get()->server_rsa).Alpn({"second"});
    other_ = MakeContext(TLS_CONTEXT_SERVER, other);
  }
  static status_code Set(const Engine &engine, const Context &context, Error *error = nullptr) {
    Error unused;
    return engine_set_context(engine.get(), context.get(), error == nullptr ? &unused : error).code;
  }
  static void Answer(const Engine &engine, enum engine_answer_kind kind = ENGINE_PROCEED) {
    struct engine_answer answer = {};
    const char *why = nullptr;
    answer.kind = kind;
    answer.alert = 40;
    EXPECT_EQ(STATUS_OK, engine_answer(engine.get(), &answer, &why).code);
  }
  static std::string PeerOf(const Engine &engine) {
    Arena arena;
    struct engine_peer peer;
    EXPECT_EQ(STATUS_OK, engine_peer(engine.get(), arena, &peer).code);
    return String(peer.der);
  }
  static std::string AlpnOf(const Engine &engine) {
    Arena arena;
    struct engine_negotiated negotiated;
    EXPECT_EQ(STATUS_OK, engine_negotiated(engine.get(), arena, &negotiated).code);
    return String(negotiated.alpn);
  }
  Ends Asked() {
    Ends ends(MakeClient(client_), MakeServer(asking_));
    ends.Shake();
    EXPECT_EQ(ENGINE_WANT_DECISION, ends.server_result);
    return ends;
  }
  Context client_;
  Context asking_;
  Context other_;
};

TEST_F(EngineSwitch, AreCertificateAndAlpnThoseOfTheNewContext) {
  Ends stays = Asked();
  Answer(stays.server);
  stays.Shake();
  EXPECT_EQ("first", AlpnOf(stays.client));
  Ends switches = Asked();
  EXPECT_EQ(STATUS_OK, Set(switches.server, other_));
  other_.reset();  // the engine holds what it needs
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_handshake(switches.server.get()));
  Answer(switches.server);
  switches.Shake();
  ASSERT_TRUE(switches.established());
  EXPECT_EQ("second", AlpnOf(switches.client));
  EXPECT_NE(PeerOf(stays.client), PeerOf(switches.client));
  switches.Send(true, "hello");
}

TEST_F(EngineSwitch, DoesTheLastOneCount) {
  Ends ends = Asked();
  EXPECT_EQ(STATUS_OK, Set(ends.server, other_));
  EXPECT_EQ(STATUS_OK, Set(ends.server, asking_));
  Answer(ends.server);
  ends.Shake();
  EXPECT_EQ("first", AlpnOf(ends.client));
}

TEST_F(EngineSwitch, CanItStillBeRefused) {
  Ends ends = Asked();
  EXPECT_EQ(STATUS_OK, Set(ends.server, other_));
  Answer(ends.server, ENGINE_REFUSE);
  ends.Shake();
  EXPECT_EQ(ENGINE_FAILED, ends.server_result);
  EXPECT_EQ(40, engine_error(ends.client.get())->alert);
}

TEST_F(EngineSwitch, IsAnotherContextThatAsksNotAskedAgain) {
  Change change = ServerChange();
  change.Set(TLS_SET_DECISIONS).decisions.server_name = true;
  change.Set(TLS_SET_GROUPS).groups = "P-384";
  Context also = MakeContext(TLS_CONTEXT_SERVER, change);
  Ends ends = Asked();
  EXPECT_EQ(STATUS_OK, Set(ends.server, also));
  Answer(ends.server);
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineSwitch, CanAServerThatHasNotBegunBeSwitched) {
  Ends ends(MakeClient(client_), MakeServer(asking_));
  EXPECT_EQ(ENGINE_WANT_INPUT, engine_handshake(ends.server.get()));
  EXPECT_EQ(STATUS_OK, Set(ends.server, other_));
  ends.Shake();
  EXPECT_TRUE(ends.established()) << "the new context doesn't ask";
  EXPECT_EQ("second", AlpnOf(ends.client));
  Ends back(MakeClient(client_), MakeServer(other_));
  EXPECT_EQ(STATUS_OK, Set(back.server, asking_));
  back.Shake();
  EXPECT_EQ(ENGINE_WANT_DECISION, back.server_result) << "the new context asks";
  EXPECT_EQ(STATUS_OK, Set(back.server, other_));
  Answer(back.server);
  back.Shake();
  EXPECT_EQ("second", AlpnOf(back.client));
}

TEST_F(EngineSwitch, CanAClientThatHasNotBegunBeSwitched) {
  Change nobody;
  Change change = ClientChange();
  Context distrusts = MakeContext(TLS_CONTEXT_CLIENT, nobody);
  Context trusts = MakeContext(TLS_CONTEXT_CLIENT, change);
  Ends ends(MakeClient(distrusts), MakeServer(other_));
  EXPECT_EQ(STATUS_OK, Set(ends.client, trusts));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineSwitch, IsItTooLateOnceTheHandshakeIsUnderWay) {
  Ends ends = Asked();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Set(ends.client, client_)) << "its ClientHello is out";
  Answer(ends.server);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Set(ends.server, other_));
  ends.Shake();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Set(ends.server, other_));
  EXPECT_EQ("first", AlpnOf(ends.client));
}

TEST_F(EngineSwitch, MustTheRoleFit) {
  Ends ends = Asked();
  Error error;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Set(ends.server, client_, &error));
  EXPECT_STREQ("context", error.item);
  Engine client = MakeClient(client_);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Set(client, other_));
}

TEST_F(EngineSwitch, AreEditionsKeptAsLongAsTheyAreUsedAndNoLonger) {
  static int given;
  given = 0;
  Change change;
  change.Pair(pki_get()->server_rsa);
  tls_context_change charged = *change.get();
  charged.charge.give = [](void *) { given++; };
  tls_context *made = nullptr;
  Error error;
  ASSERT_EQ(STATUS_OK, tls_context_new(TLS_CONTEXT_SERVER, &charged, &made, &error).code);
  Context context(made);
  {
    Ends ends = Asked();
    EXPECT_EQ(STATUS_OK, Set(ends.server, context));
    EXPECT_EQ(STATUS_OK, Set(ends.server, context));
    context.reset();
    EXPECT_EQ(0, given);
    Answer(ends.server);
    ends.Shake();
    EXPECT_TRUE(ends.established());
    EXPECT_EQ(0, given);
  }
  EXPECT_EQ(1, given);
}

// ---------------------------------------------------------------------------------------------
// Verified clients: a session that another context's trust stood for is good nowhere else.

class Verified : public EngineSwitch, public testing::WithParamInterface<int> {
 protected:
  static Context Verifying(const std::string &trusted, bool asks) {
    Change change = ServerChange();
    change.Verify(TLS_VERIFY_REQUIRED).Trust(trusted).Versions(GetParam(), GetParam());
    change.Set(TLS_SET_DECISIONS).decisions.server_name = asks;
    return MakeContext(TLS_CONTEXT_SERVER, change);
  }
  // Shakes hands by that context and tells whether the session was resumed.
  bool Resumes(const Context &client, const Context &first, const Context &by, std::string *der) {
    Ends ends(MakeClient(client, "host.test", Slice(*der)), MakeServer(first));
    ends.Shake();
    EXPECT_EQ(STATUS_OK, Set(ends.server, by));
    Answer(ends.server);
    ends.Shake();
    EXPECT_TRUE(ends.established());
    ends.Read(true);
    Arena arena;
    struct engine_resumption resumption;
    struct engine_negotiated negotiated;
    if (!ends.established()) {
      return false;
    }
    EXPECT_EQ(STATUS_OK, engine_resumption(ends.client.get(), arena, &resumption).code);
    EXPECT_EQ(STATUS_OK, engine_negotiated(ends.client.get(), arena, &negotiated).code);
    *der = String(resumption.sealed);
    return negotiated.resumed;
  }
};
INSTANTIATE_TEST_SUITE_P(EngineSwitch, Verified, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Verified, AreSessionsBoundToTheContextThatVerified) {
  Change change = ClientChange();
  change.Pair(pki_get()->client);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, change);
  Context first = Verifying(pki_get()->root->pem, true);
  Context wider = Verifying(std::string(pki_get()->root->pem) + pki_get()->other_root->pem, false);
  std::string der;
  EXPECT_FALSE(Resumes(client, first, wider, &der));
  EXPECT_TRUE(Resumes(client, first, wider, &der)) << "where it was made it is good";
  EXPECT_FALSE(Resumes(client, first, first, &der)) << "the trust of another stood for it";
}

}  // namespace
