#include "server/tls/context.h"

#include <atomic>
#include <thread>

#include "tests/unit/tls/harness.h"

namespace {

class ContextTest : public TlsTest {
 protected:
  status_code Configure(const Context &context, Change &change) {
    tls_error_clear(&error_);
    return tls_context_configure(context.get(), change.get(), &error_).code;
  }
  void ExpectRefused(const Error &error, const char *item, const char *text) {
    EXPECT_STREQ(error.item, item);
    EXPECT_NE(std::string(error.detail).find(text), std::string::npos) << error.detail;
  }
  tls_context_info Describe(const Context &context) {
    tls_context_info info;
    EXPECT_EQ(tls_context_describe(context.get(), arena_, &info).code, STATUS_OK);
    return info;
  }
  Ends Shaken(const Context &client, const Context &server) {
    Ends ends(MakeClient(client), MakeServer(server));
    ends.Shake();
    return ends;
  }
  const struct pki *pki_ = pki_get();
  Arena arena_;
  tls_error error_;
};

TEST_F(ContextTest, CanOneOfEachKindBeMade) {
  for (tls_context_kind kind : {TLS_CONTEXT_BOTH, TLS_CONTEXT_CLIENT, TLS_CONTEXT_SERVER}) {
    Change nothing;
    Context context = MakeContext(kind, nothing);
    ASSERT_NE(context, nullptr);
    EXPECT_EQ(tls_context_get_kind(context.get()), kind);
  }
  Change nothing;
  EXPECT_STREQ(Refused(static_cast<tls_context_kind>(0), nothing).item, "kind");
}

TEST_F(ContextTest, IsTheSelfTestNotCounted) {
  Change change = ServerChange();
  Context context = MakeContext(TLS_CONTEXT_BOTH, change);
  tls_session_stats stats = Describe(context).sessions;
  EXPECT_EQ(stats.accept, 0);
  EXPECT_EQ(stats.connect, 0);
  EXPECT_EQ(stats.accept_good, 0);
  EXPECT_EQ(stats.number, 0);
}

TEST_F(ContextTest, AreSessionsCountedAcrossChanges) {
  Change server_change = ServerChange();
  Change client_change = ClientChange();
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  Ends first = Shaken(client, server);
  Change change;
  change.Set(TLS_SET_NUM_TICKETS).num_tickets = 1;
  ASSERT_EQ(Configure(server, change), STATUS_OK);
  Ends second = Shaken(client, server);
  EXPECT_EQ(Describe(server).sessions.accept_good, 2);
  first = Shaken(client, server);
  EXPECT_EQ(Describe(server).sessions.accept_good, 3);
  EXPECT_EQ(Describe(client).sessions.connect_good, 3);
}

TEST_F(ContextTest, IsAnUnusableServerRefusedWhenItIsMade) {
  Change change = ServerChange();
  change.Versions(0x303, 0x303).Ciphers("ECDHE-RSA-AES128-GCM-SHA256");
  ExpectRefused(Refused(TLS_CONTEXT_SERVER, change), "settings", "no handshake is possible");
}

TEST_F(ContextTest, CanAChangeGoThroughAnUnusableState) {
  Change change = ServerChange();
  change.Versions(0x303, 0x303);
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  Change ciphers;
  ciphers.Ciphers("ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(Configure(context, ciphers), STATUS_OK) << error_.text;
  Change pair;
  pair.Pair(pki_->server_rsa);
  EXPECT_EQ(Configure(context, pair), STATUS_OK) << error_.text;
  Change client_change = ClientChange();
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  EXPECT_TRUE(Shaken(client, context).established());
}

TEST_F(ContextTest, IsNothingChangedWhenAnyPartIsRefused) {
  Change change = ServerChange();
  change.Set(TLS_SET_NUM_TICKETS).num_tickets = 3;
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  Change bad;
  bad.Set(TLS_SET_NUM_TICKETS).num_tickets = 4;
  bad.Ciphers("AES128-SHA").Trust(pki_->root->pem);
  bad.Pair(pki_->server_rsa).Pair(pki_->server->pem, pki_->client->key_pem);
  EXPECT_EQ(Configure(context, bad), STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.item, "pairs[1].key");
  tls_context_info info = Describe(context);
  EXPECT_EQ(info.settings.num_tickets, 3u);
  EXPECT_EQ(info.num_certificates, 1u);
  EXPECT_EQ(info.trust.certificates, 0u);
  EXPECT_STRNE(info.settings.ciphers, "AES128-SHA");
  Change client_change = ClientChange();
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  EXPECT_TRUE(Shaken(client, context).established());
}

TEST_F(ContextTest, AreRefusedItemsAllNamed) {
  struct Row {
    const char *item;
    std::function<void(Change &)> set;
  };
  const Row rows[] = {
      {"pairs[0].chain", [](Change &c) { c.Pair("junk", pki_get()->server->key_pem); }},
      {"pairs[1].key",
       [](Change &c) { c.Pair(pki_get()->server).Pair(pki_get()->root->pem, "x"); }},
      {"pairs[1]", [](Change &c) { c.Pair(pki_get()->server).Pair(pki_get()->wrong_host); }},
      {"trust.certificates[0]", [](Change &c) { c.Trust("junk"); }},
      {"trust.crls[0]", [](Change &c) { c.Crl("junk"); }},
      {"settings.ciphers", [](Change &c) { c.Ciphers("junk"); }},
      {"settings.ciphersuites",
       [](Change &c) { c.Set(TLS_SET_CIPHERSUITES).ciphersuites = "junk"; }},
      {"settings.groups", [](Change &c) { c.Set(TLS_SET_GROUPS).groups = "junk"; }},
      {"settings.dh_params", [](Change &c) { c.Set(TLS_SET_DH_PARAMS).dh_params = Slice("junk"); }},
  };
  for (const Row &row : rows) {
    Change change;
    row.set(change);
    Error error = Refused(TLS_CONTEXT_BOTH, change);
    EXPECT_EQ(error.kind, TLS_ERROR_INVALID);
    EXPECT_STREQ(error.item, row.item);
    EXPECT_STRNE(error.text, "") << row.item;
  }
}

TEST_F(ContextTest, IsAPairOfTheSameTypeReplacedByALaterChange) {
  Change change;
  change.Pair(pki_->server).Pair(pki_->server_rsa);
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  EXPECT_EQ(Describe(context).num_certificates, 2u);
  Change renewed;
  renewed.Pair(pki_->wrong_host);
  ASSERT_EQ(Configure(context, renewed), STATUS_OK) << error_.text;
  tls_context_info info = Describe(context);
  ASSERT_EQ(info.num_certificates, 2u);
  EXPECT_STREQ(info.certificates[0].subject_text, "CN=other.test,O=tlsagent tests");
  EXPECT_STREQ(info.certificates[1].key_type, "RSA");
}

TEST_F(ContextTest, DoesAWeakCertificateMeetItsSecurityLevel) {
  Change change = ServerChange();
  change.Set(TLS_SET_SECURITY_LEVEL).security_level = 5;
  Error error = Refused(TLS_CONTEXT_SERVER, change);
  ExpectRefused(error, "pairs[0]", "ee key too small");
  Change weaker = ServerChange();
  Context context = MakeContext(TLS_CONTEXT_SERVER, weaker);
  Change level;
  level.Set(TLS_SET_SECURITY_LEVEL).security_level = 5;
  EXPECT_EQ(Configure(context, level), STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.item, "settings");
}

TEST_F(ContextTest, DoesASessionKeepWhatItBeganWith) {
  Change server_change = ServerChange();
  Change client_change = ClientChange();
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  Ends begun(MakeClient(client), MakeServer(server));
  Change swap_pair;
  swap_pair.Pair(pki_->wrong_host);
  ASSERT_EQ(Configure(server, swap_pair), STATUS_OK);
  client.reset();
  server.reset();
  begun.Shake();
  EXPECT_TRUE(begun.established()) << engine_error(begun.client.get())->verify_message;
  begun.Send(true, "still here");
}

TEST_F(ContextTest, CanTrustBeAddedLater) {
  Change nothing;
  Change server_change = ServerChange();
  Context client = MakeContext(TLS_CONTEXT_CLIENT, nothing);
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  EXPECT_FALSE(Shaken(client, server).established());
  Change trust;
  trust.Trust(pki_->root->pem);
  ASSERT_EQ(Configure(client, trust), STATUS_OK);
  EXPECT_TRUE(Shaken(client, server).established());
}

TEST_F(ContextTest, IsAChainCompletedFromTheTrust) {
  Change server_change;
  server_change.Pair(pki_->server->pem, pki_->server->key_pem)
      .Trust(std::string(pki_->intermediate->pem) + pki_->root->pem);
  Change client_change = ClientChange();
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  Ends ends = Shaken(client, server);
  ASSERT_TRUE(ends.established());
  engine_chains chains;
  ASSERT_EQ(engine_peer_chains(ends.client.get(), arena_, &chains).code, STATUS_OK);
  EXPECT_EQ(chains.num_unverified, 3u);  // as OpenSSL does, with the trusted root
}

TEST_F(ContextTest, CanThreadsUseItWhileAnotherChangesIt) {
  Change server_change = ServerChange();
  Change client_change = ClientChange();
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  std::atomic<bool> stop(false);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      while (!stop) {
        EXPECT_TRUE(Shaken(client, server).established());
        Arena arena;
        tls_context_info info;
        EXPECT_EQ(tls_context_describe(server.get(), arena, &info).code, STATUS_OK);
      }
    });
  }
  for (int i = 0; i < 30; i++) {
    Change change;
    change.Set(TLS_SET_NUM_TICKETS).num_tickets = i % 3;
    change.Pair(pki_->server).Alpn({"h2"});
    EXPECT_EQ(Configure(server, change), STATUS_OK) << error_.text;
    Change trust;
    trust.Trust(std::string("# ") + std::to_string(i % 10) + "\n" + pki_->other_root->pem);
    EXPECT_EQ(Configure(client, trust), STATUS_OK) << error_.text;
  }
  stop = true;
  for (std::thread &thread : threads) {
    thread.join();
  }
}

TEST_F(ContextTest, CanTheLastReferenceBeAnybodys) {
  Change change;
  Context context = MakeContext(TLS_CONTEXT_CLIENT, change);
  tls_context *other = tls_context_ref(context.get());
  context.reset();
  EXPECT_EQ(tls_context_get_kind(other), TLS_CONTEXT_CLIENT);
  tls_context_unref(other);
  tls_context_unref(nullptr);
}

}  // namespace
