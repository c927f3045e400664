#include "server/tls/engine.h"

#include <openssl/ssl.h>

#include "server/tls/engine_private.h"
#include "tests/unit/tls/harness.h"

namespace {

struct Peers {
  Context client;
  Context server;
};

class EngineTest : public TlsTest {
 protected:
  Peers Contexts(Change &client, Change &server) {
    return {MakeContext(TLS_CONTEXT_CLIENT, client), MakeContext(TLS_CONTEXT_SERVER, server)};
  }
  // The usual two, within these versions.
  Peers Contexts(int version = 0) {
    Change client = ClientChange();
    Change server = ServerChange();
    if (version != 0) {
      client.Versions(version, version);
    }
    return Contexts(client, server);
  }
  Ends Shaken(const Peers &peers) {
    Ends ends(MakeClient(peers.client), MakeServer(peers.server));
    ends.Shake();
    EXPECT_TRUE(ends.established())
        << engine_error(ends.client.get())->text << " / " << engine_error(ends.server.get())->text;
    return ends;
  }
  // Makes an engine that must be refused.
  Error Refused(const Context &context, const engine_config &config) {
    engine *made = nullptr;
    Error error;
    EXPECT_EQ(engine_new(context.get(), &config, &made, &error).code, STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(made, nullptr);
    return error;
  }
  Arena arena_;
};

TEST_F(EngineTest, DoesAHandshakeGoThroughAtAll) {
  Ends ends = Shaken(Contexts());
  ends.Send(true, "ping");
  ends.Send(false, "pong");
}

// ---------------------------------------------------------------------------------------------
// Delivery.

TEST_F(EngineTest, CanEverythingComeOneByteAtATime) {
  for (int version : {0x303, 0x304}) {
    Peers peers = Contexts(version);
    Ends ends(MakeClient(peers.client), MakeServer(peers.server));
    ends.Shake(1);
    ASSERT_TRUE(ends.established());
    size_t accepted;
    std::string text(100, 'x');
    ASSERT_EQ(engine_write(ends.client.get(), Slice(text), &accepted), ENGINE_DONE);
    ends.to_server.TakeFrom(ends.client.get());
    std::string got;
    while (!ends.to_server.empty()) {
      char buffer[64];
      size_t len;
      ends.to_server.ShowTo(ends.server.get(), 1);
      engine_read(ends.server.get(), buffer, sizeof(buffer), &len);
      ends.to_server.Done(ends.server.get());
      got.append(buffer, len);
    }
    char rest[64];
    size_t len;
    while (engine_read(ends.server.get(), rest, sizeof(rest), &len) == ENGINE_DONE) {
      got.append(rest, len);
    }
    EXPECT_EQ(got, text);
  }
}

TEST_F(EngineTest, IsNothingTakenBeyondTheRecordThatIsRead) {
  Ends ends = Shaken(Contexts());
  ends.Read(true);  // the tickets
  size_t accepted;
  engine_write(ends.server.get(), Slice("one"), &accepted);
  ends.to_client.TakeFrom(ends.server.get());
  size_t first = ends.to_client.size();
  engine_write(ends.server.get(), Slice("two"), &accepted);
  ends.to_client.TakeFrom(ends.server.get());
  ends.to_client.content() += "clear text";
  ends.to_client.ShowTo(ends.client.get());
  char buffer[64];
  size_t len;
  EXPECT_EQ(engine_read(ends.client.get(), buffer, sizeof(buffer), &len), ENGINE_DONE);
  EXPECT_EQ(std::string(buffer, len), "one");
  EXPECT_EQ(engine_input_left(ends.client.get()), ends.to_client.size() - first);
}

// Puts a record's header before so many bytes that are there, of a body that says to have len.
std::string Record(uint8_t type, size_t len, size_t there) {
  std::string header = {static_cast<char>(type), 3, 3, static_cast<char>(len >> 8),
                        static_cast<char>(len)};
  return header + std::string(there, 'x');
}

TEST_F(EngineTest, DoesDataFollowWhereARecordOfItIsWhole) {
  const struct {
    const char *what;
    std::string input;
    bool follows;
  } rows[] = {
      {"nothing", "", false},
      {"half a header", std::string("\x17\x03\x03", 3), false},
      {"a header", Record(SSL3_RT_APPLICATION_DATA, 100, 0), false},
      {"all but a byte", Record(SSL3_RT_APPLICATION_DATA, 100, 99), false},
      {"a record", Record(SSL3_RT_APPLICATION_DATA, 100, 100), true},
      {"a record and more", Record(SSL3_RT_APPLICATION_DATA, 100, 120), true},
      {"as long as an alert could be", Record(SSL3_RT_APPLICATION_DATA, 40, 40), false},
      {"as much as there is room for", Record(SSL3_RT_APPLICATION_DATA, 1000, 1000), true},
      {"a byte more", Record(SSL3_RT_APPLICATION_DATA, 1001, 1001), false},
      {"an alert", Record(SSL3_RT_ALERT, 100, 100), false},
      {"a handshake", Record(SSL3_RT_HANDSHAKE, 100, 100), false},
      {"clear text", std::string(200, 'H'), false},
  };
  Ends ends = Shaken(Contexts());
  ends.Read(true);  // the tickets
  for (const auto &row : rows) {
    engine_set_input(ends.client.get(), Slice(row.input), false);
    EXPECT_EQ(engine_data_follows(ends.client.get(), 1000), row.follows) << row.what;
  }
}

TEST_F(EngineTest, DoesDataFollowWhereSomeIsDecrypted) {
  Ends ends = Shaken(Contexts());
  size_t accepted;
  engine_write(ends.client.get(), Slice("abc"), &accepted);
  ends.to_server.TakeFrom(ends.client.get());
  ends.to_server.ShowTo(ends.server.get());
  char byte;
  size_t len;
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 1, &len), ENGINE_DONE);
  EXPECT_TRUE(engine_data_follows(ends.server.get(), 1));
}

TEST_F(EngineTest, CanPlaintextBeReadInSmallPieces) {
  Ends ends = Shaken(Contexts());
  size_t accepted;
  engine_write(ends.client.get(), Slice("abc"), &accepted);
  ends.to_server.TakeFrom(ends.client.get());
  ends.to_server.ShowTo(ends.server.get());
  char byte;
  size_t len;
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 1, &len), ENGINE_DONE);
  EXPECT_EQ(byte, 'a');
  EXPECT_EQ(engine_pending(ends.server.get()), 2u);
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 1, &len), ENGINE_DONE);
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 1, &len), ENGINE_DONE);
  EXPECT_EQ(byte, 'c');
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 1, &len), ENGINE_WANT_INPUT);
  EXPECT_EQ(len, 0u);
  EXPECT_EQ(engine_read(ends.server.get(), &byte, 0, &len), ENGINE_DONE);
}

TEST_F(EngineTest, DoBigTransfersGoThroughASmallOutput) {
  for (int version : {0x303, 0x304}) {
    Peers peers = Contexts(version);
    Ends ends(MakeClient(peers.client), MakeServer(peers.server, 64 * 1024));
    ends.Shake();
    std::string sent(3 << 20, '\0');
    for (size_t i = 0; i < sent.size(); i++) {
      sent[i] = static_cast<char>(i * 2654435761u >> 24);
    }
    slice left = Slice(sent);
    std::string received;
    bool was_full = false;
    while (left.len > 0) {
      size_t accepted;
      engine_result result = engine_write(ends.server.get(), left, &accepted);
      EXPECT_EQ(result, accepted == left.len ? ENGINE_DONE : ENGINE_WANT_OUTPUT);
      EXPECT_LE(bytes_len(engine_output(ends.server.get())), 64u * 1024);
      ASSERT_GT(accepted, 0u);
      was_full = was_full || result == ENGINE_WANT_OUTPUT;
      struct slice taken;
      slice_take(&left, accepted, &taken);
      ends.to_client.TakeFrom(ends.server.get());
      received += ends.Read(true);
    }
    EXPECT_TRUE(was_full);
    EXPECT_TRUE(received == sent);
  }
}

TEST_F(EngineTest, IsWhatWasNotAcceptedForgotten) {
  Peers peers = Contexts();
  Ends ends(MakeClient(peers.client), MakeServer(peers.server, 64 * 1024));
  ends.Shake();
  ends.Read(true);
  std::string first(200000, 'a');
  size_t accepted;
  ASSERT_EQ(engine_write(ends.server.get(), Slice(first), &accepted), ENGINE_WANT_OUTPUT);
  ASSERT_EQ(engine_write(ends.server.get(), Slice(first), &accepted), ENGINE_WANT_OUTPUT);
  EXPECT_EQ(accepted, 0u);
  ends.to_client.TakeFrom(ends.server.get());
  std::string received = ends.Read(true);
  EXPECT_EQ(received.find_first_not_of('a'), std::string::npos);
  ends.Send(false, "something else");
}

TEST_F(EngineTest, DoesAHandshakeWaitForItsOutputToBeTaken) {
  std::string chain = pki_get()->server->pem;
  for (int i = 0; i < 31; i++) {
    chain += pki_get()->server_rsa->pem;
  }
  Change server_change;
  server_change.Pair(chain, pki_get()->server->key_pem);
  Change client_change = ClientChange();
  client_change.Trust(pki_get()->intermediate->pem);
  Peers peers = Contexts(client_change, server_change);
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  // Fill the server's output, so that only a little of its flight fits in.
  struct bytes *output = engine_output(ends.server.get());
  std::string filler(bytes_room(output) - 5000, 'x');
  ASSERT_EQ(bytes_append(output, Slice(filler)).code, STATUS_OK);
  engine_handshake(ends.client.get());
  ends.to_server.TakeFrom(ends.client.get());
  ends.to_server.ShowTo(ends.server.get());
  EXPECT_EQ(engine_handshake(ends.server.get()), ENGINE_WANT_OUTPUT);
  EXPECT_EQ(bytes_room(output), 0u);
  ends.to_server.Done(ends.server.get());
  bytes_consume(output, filler.size());
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineTest, IsAnEmptyWriteNothing) {
  Peers peers = Contexts();
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  size_t accepted = 1;
  EXPECT_EQ(engine_write(ends.client.get(), slice_of(nullptr, 0), &accepted), ENGINE_WANT_INPUT);
  EXPECT_EQ(accepted, 0u);
  ends.Shake();
  ASSERT_EQ(bytes_len(engine_output(ends.client.get())), 0u);
  EXPECT_EQ(engine_write(ends.client.get(), slice_of(nullptr, 0), &accepted), ENGINE_DONE);
  EXPECT_EQ(bytes_len(engine_output(ends.client.get())), 0u);
}

// The sizes of the records that a write of so much makes.
std::vector<size_t> RecordsOf(const Peers &peers, bool growing, size_t len) {
  engine_config config = {ENGINE_SERVER, nullptr, slice_of(nullptr, 0), 1 << 18};
  config.growing_records = growing;
  engine *made = nullptr;
  Error error;
  EXPECT_EQ(engine_new(peers.server.get(), &config, &made, &error).code, STATUS_OK);
  Ends ends(MakeClient(peers.client), Engine(made));
  ends.Shake();
  ends.Read(true);  // the tickets
  size_t accepted = 0;
  EXPECT_EQ(engine_write(made, Slice(std::string(len, 'x')), &accepted), ENGINE_DONE);
  EXPECT_EQ(accepted, len);
  ends.to_client.TakeFrom(made);
  std::vector<size_t> sizes;
  const std::string &sent = ends.to_client.content();
  for (size_t at = 0; at < sent.size();) {
    sizes.push_back(static_cast<uint8_t>(sent[at + 3]) << 8 | static_cast<uint8_t>(sent[at + 4]));
    at += 5 + sizes.back();
  }
  EXPECT_EQ(ends.Read(true), std::string(len, 'x'));
  return sizes;
}

TEST_F(EngineTest, DoRecordsGrowWhereTheyAreToldTo) {
  std::vector<size_t> sizes = RecordsOf(Contexts(), true, 150000);
  EXPECT_LT(sizes.front(), 1400u);
  EXPECT_GT(sizes.size(), 20u);
  for (size_t i = 1; i + 1 < sizes.size(); i++) {
    EXPECT_GE(sizes[i], sizes[i - 1]);
  }
  EXPECT_GT(sizes[sizes.size() - 2], 16384u);
}

TEST_F(EngineTest, AreAllLargeWhereTheyAreNot) {
  std::vector<size_t> sizes = RecordsOf(Contexts(), false, 150000);
  EXPECT_EQ(sizes.size(), 10u);
  EXPECT_GT(sizes.front(), 16384u);
}

TEST_F(EngineTest, DoReadAndWriteDriveTheHandshakeToo) {
  Peers peers = Contexts();
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  std::string got;
  size_t accepted = 0;
  for (int i = 0; i < 5 && got.empty(); i++) {
    ends.to_client.ShowTo(ends.client.get());
    if (accepted == 0) {
      engine_write(ends.client.get(), Slice("hello"), &accepted);
    }
    ends.to_client.Done(ends.client.get());
    ends.to_server.TakeFrom(ends.client.get());
    got = ends.Read(false);
  }
  EXPECT_EQ(got, "hello");
}

// ---------------------------------------------------------------------------------------------
// Who may be what.

TEST_F(EngineTest, DoesTheRoleHaveToFitTheContext) {
  Peers peers = Contexts();
  EXPECT_STREQ(Refused(peers.server, {ENGINE_CLIENT, "host.test"}).item, "context");
  EXPECT_STREQ(Refused(peers.client, {ENGINE_SERVER}).item, "context");
  Change both_change = ServerChange();
  both_change.Trust(pki_get()->root->pem);
  Context both = MakeContext(TLS_CONTEXT_BOTH, both_change);
  Ends ends(MakeClient(both), MakeServer(both));
  ends.Shake();
  EXPECT_TRUE(ends.established());
  EXPECT_EQ(engine_get_role(ends.client.get()), ENGINE_CLIENT);
  EXPECT_EQ(engine_get_role(ends.server.get()), ENGINE_SERVER);
}

TEST_F(EngineTest, IsAClientAskedForACertificateBelievedOnlyWithOne) {
  for (int version : {0x303, 0x304}) {
    Change server = ServerChange();
    server.Trust(pki_get()->root->pem).Verify(TLS_VERIFY_REQUIRED);
    Change client = ClientChange();
    client.Pair(pki_get()->client).Versions(version, version);
    Peers peers = Contexts(client, server);
    Ends ends = Shaken(peers);
    struct engine_peer peer;
    ASSERT_EQ(engine_peer(ends.server.get(), arena_, &peer).code, STATUS_OK);
    EXPECT_EQ(String(peer.der), String(pki_get()->client->der));
    EXPECT_EQ(peer.verify_code, 0);

    Change without = ClientChange();
    without.Versions(version, version);
    Context nobody = MakeContext(TLS_CONTEXT_CLIENT, without);
    Ends refused(MakeClient(nobody), MakeServer(peers.server));
    refused.Shake();
    EXPECT_EQ(refused.server_result, ENGINE_FAILED);
    const tls_error *error = engine_error(refused.server.get());
    EXPECT_STREQ(error->reason, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
    engine_result last = refused.client_result;
    if (version == 0x304) {  // its handshake was over before the server looked
      refused.Read(true, &last);
    }
    EXPECT_EQ(last, ENGINE_FAILED);
    EXPECT_EQ(engine_error(refused.client.get())->alert, version == 0x304 ? 116 : 40);
    EXPECT_EQ(error->alert, version == 0x304 ? 116 : 40);
  }
}

TEST_F(EngineTest, IsAClientsCertificateOfAnotherAuthorityRefused) {
  Change server = ServerChange();
  server.Trust(pki_get()->other_root->pem).Verify(TLS_VERIFY_OPTIONAL);
  Change client = ClientChange();
  client.Pair(pki_get()->client);
  Ends ends(nullptr, nullptr);
  Peers peers = Contexts(client, server);
  ends.client = MakeClient(peers.client);
  ends.server = MakeServer(peers.server);
  ends.Shake();
  EXPECT_EQ(ends.server_result, ENGINE_FAILED);
  EXPECT_EQ(engine_error(ends.server.get())->kind, TLS_ERROR_VERIFY);
  struct engine_peer peer;
  ASSERT_EQ(engine_peer(ends.server.get(), arena_, &peer).code, STATUS_OK);
  EXPECT_EQ(String(peer.der), String(pki_get()->client->der));
}

// ---------------------------------------------------------------------------------------------
// ALPN.

TEST_F(EngineTest, IsTheServersFavouriteProtocolChosen) {
  Change client = ClientChange();
  client.Alpn({"http/1.1", "h2"});
  Change server = ServerChange();
  server.Alpn({"h2", "http/1.1"});
  Ends ends = Shaken(Contexts(client, server));
  for (engine *each : {ends.client.get(), ends.server.get()}) {
    struct engine_negotiated agreed;
    ASSERT_EQ(engine_negotiated(each, arena_, &agreed).code, STATUS_OK);
    EXPECT_EQ(String(agreed.alpn), "h2");
  }
}

TEST_F(EngineTest, IsNoSharedProtocolNoMatterUnlessItIs) {
  Change client = ClientChange();
  client.Alpn({"h3"});
  Change lenient = ServerChange();
  lenient.Alpn({"h2"});
  Ends ends = Shaken(Contexts(client, lenient));
  struct engine_negotiated agreed;
  ASSERT_EQ(engine_negotiated(ends.client.get(), arena_, &agreed).code, STATUS_OK);
  EXPECT_EQ(agreed.alpn.len, 0u);

  Change strict = ServerChange();
  strict.Alpn({"h2"}, true);
  Peers peers = Contexts(client, strict);
  Ends refused(MakeClient(peers.client), MakeServer(peers.server));
  refused.Shake();
  EXPECT_EQ(refused.client_result, ENGINE_FAILED);
  EXPECT_EQ(engine_error(refused.client.get())->alert, SSL_AD_NO_APPLICATION_PROTOCOL);
  EXPECT_EQ(engine_error(refused.server.get())->alert, SSL_AD_NO_APPLICATION_PROTOCOL);
}

// ---------------------------------------------------------------------------------------------
// Failures.

TEST_F(EngineTest, IsEachBadCertificateTold) {
  struct Row {
    const pki_identity *server;
    const char *host;
    bool trusted;
    long code;
    const char *message;
    int alert;
  };
  const struct pki *pki = pki_get();
  const Row rows[] = {
      {pki->expired, "host.test", true, X509_V_ERR_CERT_HAS_EXPIRED, "certificate has expired",
       SSL_AD_CERTIFICATE_EXPIRED},
      {pki->wrong_host, "host.test", true, X509_V_ERR_HOSTNAME_MISMATCH,
       "Hostname mismatch, certificate is not valid for 'host.test'.", SSL_AD_BAD_CERTIFICATE},
      {pki->server, "127.0.0.2", true, X509_V_ERR_IP_ADDRESS_MISMATCH,
       "IP address mismatch, certificate is not valid for '127.0.0.2'.", SSL_AD_BAD_CERTIFICATE},
      {pki->self_signed, "host.test", true, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
       "self-signed certificate", SSL_AD_UNKNOWN_CA},
      {pki->server, "host.test", false, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
       "unable to get local issuer certificate", SSL_AD_UNKNOWN_CA},
  };
  for (int version : {0x303, 0x304}) {
    for (const Row &row : rows) {
      Change server;
      server.Pair(row.server).Versions(version, version);
      Change client;
      client.Trust(row.trusted ? pki->root->pem : pki->other_root->pem);
      Peers peers = Contexts(client, server);
      Ends ends(MakeClient(peers.client, row.host), MakeServer(peers.server));
      ends.Shake();
      ASSERT_EQ(ends.client_result, ENGINE_FAILED) << row.message;
      const tls_error *error = engine_error(ends.client.get());
      EXPECT_EQ(error->kind, TLS_ERROR_VERIFY);
      EXPECT_STREQ(error->library, "SSL");
      EXPECT_STREQ(error->reason, "CERTIFICATE_VERIFY_FAILED");
      EXPECT_STREQ(error->text, "certificate verify failed");
      EXPECT_EQ(error->verify_code, row.code);
      EXPECT_STREQ(error->verify_message, row.message);
      EXPECT_EQ(error->alert, row.alert);
      EXPECT_EQ(error->ssl_error, SSL_ERROR_SSL);
      // The alert reached the server.
      EXPECT_EQ(ends.server_result, ENGINE_FAILED);
      EXPECT_EQ(engine_error(ends.server.get())->alert, row.alert);
      // And the certificate can be looked at.
      struct engine_peer peer;
      ASSERT_EQ(engine_peer(ends.client.get(), arena_, &peer).code, STATUS_OK);
      EXPECT_EQ(String(peer.der), String(row.server->der));
      EXPECT_STREQ(peer.verify_message, row.message);
      engine_chains chains;
      ASSERT_EQ(engine_peer_chains(ends.client.get(), arena_, &chains).code, STATUS_OK);
      EXPECT_EQ(chains.num_verified, 0u);
      EXPECT_GE(chains.num_unverified, 1u);
    }
  }
}

TEST_F(EngineTest, IsARevokedCertificateRefusedWhenListsAreAskedFor) {
  char *crl = pki_crl(pki_get()->intermediate, pki_get()->server);
  Change client = ClientChange();
  client.Crl(crl);
  client.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_CRL_CHECK;
  free(crl);
  Change server = ServerChange();
  Peers peers = Contexts(client, server);
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  ends.Shake();
  EXPECT_EQ(engine_error(ends.client.get())->verify_code, X509_V_ERR_CERT_REVOKED);
}

TEST_F(EngineTest, IsAnyCertificateTakenWithoutVerification) {
  Change client;
  client.Verify(TLS_VERIFY_NONE).CheckHostname(false);
  Change server;
  server.Pair(pki_get()->expired);
  Ends ends = Shaken(Contexts(client, server));
  struct engine_peer peer;
  ASSERT_EQ(engine_peer(ends.client.get(), arena_, &peer).code, STATUS_OK);
  EXPECT_NE(peer.verify_code, 0);
}

TEST_F(EngineTest, IsVerificationSkippedOnlyWhereNobodyWantsIt) {
  for (tls_verify_mode mode : {TLS_VERIFY_NONE, TLS_VERIFY_REQUIRED}) {
    Change change;
    change.Verify(mode).CheckHostname(false);
    Change server;
    server.Pair(pki_get()->expired);
    Peers peers = Contexts(change, server);
    engine_config config = {};
    config.role = ENGINE_CLIENT;
    config.max_output = 1 << 18;
    config.skip_verify = true;
    engine *client = nullptr;
    Error error;
    ASSERT_EQ(engine_new(peers.client.get(), &config, &client, &error).code, STATUS_OK);
    Ends ends(Engine(client), MakeServer(peers.server));
    ends.Shake();
    EXPECT_EQ(engine_established(client), mode == TLS_VERIFY_NONE);
    struct engine_peer peer;
    ASSERT_EQ(engine_peer(client, arena_, &peer).code, STATUS_OK);
    EXPECT_EQ(peer.verify_code == X509_V_ERR_UNSPECIFIED, mode == TLS_VERIFY_NONE);
  }
}

TEST_F(EngineTest, IsATruncatedStreamToldFromAClosedOne) {
  for (int version : {0x303, 0x304}) {
    Ends ends = Shaken(Contexts(version));
    size_t accepted;
    engine_write(ends.server.get(), Slice("last words"), &accepted);
    ends.to_client.TakeFrom(ends.server.get());
    ends.to_client.End();
    engine_result last;
    EXPECT_EQ(ends.Read(true, &last), "last words");
    EXPECT_EQ(last, ENGINE_FAILED);
    const tls_error *error = engine_error(ends.client.get());
    EXPECT_EQ(error->kind, TLS_ERROR_TRUNCATED);
    EXPECT_EQ(error->ssl_error, SSL_ERROR_SSL);
    EXPECT_STREQ(error->reason, "UNEXPECTED_EOF_WHILE_READING");
    EXPECT_NE(error->code, 0u);

    Ends closed = Shaken(Contexts(version));
    EXPECT_EQ(engine_shutdown_send(closed.server.get()), ENGINE_DONE);
    closed.to_client.TakeFrom(closed.server.get());
    closed.to_client.End();
    EXPECT_EQ(closed.Read(true, &last), "");
    EXPECT_EQ(last, ENGINE_CLOSED);
    EXPECT_TRUE(engine_shutdown_received(closed.client.get()));
    EXPECT_EQ(closed.Read(true, &last), "");
    EXPECT_EQ(last, ENGINE_CLOSED);
  }
}

TEST_F(EngineTest, IsTheEndInMidRecordAndInMidHandshakeTruncation) {
  Ends ends = Shaken(Contexts());
  ends.Read(true);
  size_t accepted;
  engine_write(ends.server.get(), Slice("cut"), &accepted);
  ends.to_client.TakeFrom(ends.server.get());
  ends.to_client.content().pop_back();
  ends.to_client.End();
  engine_result last;
  EXPECT_EQ(ends.Read(true, &last), "");
  EXPECT_EQ(last, ENGINE_FAILED);
  EXPECT_EQ(engine_error(ends.client.get())->kind, TLS_ERROR_TRUNCATED);

  Peers peers = Contexts();
  Engine client = MakeClient(peers.client);
  engine_set_input(client.get(), slice_of(nullptr, 0), true);
  EXPECT_EQ(engine_handshake(client.get()), ENGINE_FAILED);
  EXPECT_EQ(engine_error(client.get())->kind, TLS_ERROR_TRUNCATED);
}

TEST_F(EngineTest, IsAFailureForGood) {
  Ends ends = Shaken(Contexts());
  ends.to_client.content() = "this is no record at all";
  engine_result last;
  ends.Read(true, &last);
  EXPECT_EQ(last, ENGINE_FAILED);
  const std::string reason = engine_error(ends.client.get())->reason;
  EXPECT_NE(reason, "");
  EXPECT_FALSE(ends.to_server.empty());  // the alert
  size_t n = 0;
  uint64_t discarded = 0;
  char byte;
  EXPECT_EQ(engine_write(ends.client.get(), Slice("x"), &n), ENGINE_FAILED);
  EXPECT_EQ(engine_read(ends.client.get(), &byte, 1, &n), ENGINE_FAILED);
  EXPECT_EQ(engine_handshake(ends.client.get()), ENGINE_FAILED);
  EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_FAILED);
  EXPECT_EQ(engine_shutdown_receive(ends.client.get(), &discarded), ENGINE_FAILED);
  EXPECT_EQ(engine_error(ends.client.get())->reason, reason);
}

TEST_F(EngineTest, IsAnAlertInMidStreamTold) {
  for (int version : {0x303, 0x304}) {
    Ends ends = Shaken(Contexts(version));
    ends.Send(true, "all is well");
    size_t accepted;
    engine_write(ends.client.get(), Slice("damaged on the way"), &accepted);
    ends.to_server.TakeFrom(ends.client.get());
    ends.to_server.content().back() ^= 1;
    engine_result last;
    ends.Read(false, &last);
    EXPECT_EQ(last, ENGINE_FAILED);
    EXPECT_EQ(engine_error(ends.server.get())->alert, SSL_AD_BAD_RECORD_MAC);
    EXPECT_STREQ(engine_error(ends.server.get())->reason, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
    ends.Read(true, &last);
    EXPECT_EQ(last, ENGINE_FAILED);
    const tls_error *error = engine_error(ends.client.get());
    EXPECT_EQ(error->alert, SSL_AD_BAD_RECORD_MAC);
    EXPECT_STREQ(error->reason,
                 version == 0x303 ? "SSLV3_ALERT_BAD_RECORD_MAC" : "SSLV3_ALERT_BAD_RECORD_MAC");
    EXPECT_EQ(error->kind, TLS_ERROR_TLS);
  }
}

TEST_F(EngineTest, IsAnHttpRequestNoHandshake) {
  Peers peers = Contexts();
  Engine server = MakeServer(peers.server);
  std::string request = "GET / HTTP/1.1\r\n\r\n";
  engine_set_input(server.get(), Slice(request), false);
  EXPECT_EQ(engine_handshake(server.get()), ENGINE_FAILED);
  EXPECT_STREQ(engine_error(server.get())->reason, "HTTP_REQUEST");
}

TEST_F(EngineTest, AreDisjointVersionsAndCiphersTold) {
  Change client = ClientChange();
  client.Versions(0x303, 0x303).Ciphers("ECDHE-RSA-AES128-GCM-SHA256");
  Change server = ServerChange();
  Peers peers = Contexts(client, server);
  Ends ciphers(MakeClient(peers.client), MakeServer(peers.server));
  ciphers.Shake();
  EXPECT_STREQ(engine_error(ciphers.server.get())->reason, "NO_SHARED_CIPHER");
  EXPECT_EQ(engine_error(ciphers.client.get())->alert, SSL_AD_HANDSHAKE_FAILURE);
  Change new_only = ServerChange();
  new_only.Versions(0x304, 0);
  Context strict = MakeContext(TLS_CONTEXT_SERVER, new_only);
  Ends versions(MakeClient(peers.client), MakeServer(strict));
  versions.Shake();
  EXPECT_STREQ(engine_error(versions.server.get())->reason, "UNSUPPORTED_PROTOCOL");
  EXPECT_EQ(engine_error(versions.client.get())->alert, SSL_AD_PROTOCOL_VERSION);
}

// ---------------------------------------------------------------------------------------------
// The end.

TEST_F(EngineTest, CanBothSidesClose) {
  for (int version : {0x303, 0x304}) {
    Ends ends = Shaken(Contexts(version));
    EXPECT_FALSE(engine_shutdown_sent(ends.client.get()));
    EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_DONE);
    EXPECT_TRUE(engine_shutdown_sent(ends.client.get()));
    ends.to_server.TakeFrom(ends.client.get());
    size_t len = ends.to_server.size();
    EXPECT_GT(len, 0u);
    EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_DONE);  // once is enough
    ends.to_server.TakeFrom(ends.client.get());
    EXPECT_EQ(ends.to_server.size(), len);
    uint64_t discarded = 0;
    ends.to_client.ShowTo(ends.client.get());
    EXPECT_EQ(engine_shutdown_receive(ends.client.get(), &discarded), ENGINE_WANT_INPUT);
    ends.to_client.Done(ends.client.get());

    engine_result last;
    ends.Read(false, &last);
    EXPECT_EQ(last, ENGINE_CLOSED);
    // One side has closed; the other may still send.
    size_t accepted;
    EXPECT_EQ(engine_write(ends.server.get(), Slice("late"), &accepted), ENGINE_DONE);
    EXPECT_EQ(engine_shutdown_send(ends.server.get()), ENGINE_DONE);
    ends.to_client.TakeFrom(ends.server.get());
    ends.to_client.content() += "clear text after TLS";
    ends.to_client.ShowTo(ends.client.get());
    EXPECT_EQ(engine_shutdown_receive(ends.client.get(), &discarded), ENGINE_CLOSED);
    EXPECT_EQ(discarded, 4u);
    EXPECT_EQ(engine_input_left(ends.client.get()), strlen("clear text after TLS"));
    EXPECT_TRUE(engine_shutdown_received(ends.client.get()));
    EXPECT_EQ(engine_write(ends.client.get(), Slice("x"), &accepted), ENGINE_FAILED);
    EXPECT_STREQ(engine_error(ends.client.get())->reason, "PROTOCOL_IS_SHUTDOWN");
  }
}

TEST_F(EngineTest, DoesReadingGoOnAfterAWriteBehindTheOwnClose) {
  Ends ends = Shaken(Contexts());
  ends.Read(true);
  EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_DONE);
  size_t accepted;
  EXPECT_EQ(engine_write(ends.client.get(), Slice("too late"), &accepted), ENGINE_FAILED);
  EXPECT_EQ(accepted, 0u);
  ends.Send(false, "still heard");
}

TEST_F(EngineTest, IsAShutdownBeforeTheHandshakeRefusedAndHarmless) {
  Peers peers = Contexts();
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_FAILED);
  EXPECT_STREQ(engine_error(ends.client.get())->reason, "SHUTDOWN_WHILE_IN_INIT");
  ends.Shake();
  EXPECT_TRUE(ends.established());
  EXPECT_EQ(engine_shutdown_send(ends.client.get()), ENGINE_DONE);
}

TEST_F(EngineTest, DoesCloseNotifyWaitForRoom) {
  Peers peers = Contexts();
  Ends ends(MakeClient(peers.client), MakeServer(peers.server));
  ends.Shake();
  struct bytes *output = engine_output(ends.server.get());
  ASSERT_EQ(bytes_append(output, Slice(std::string(bytes_room(output), 'x'))).code, STATUS_OK);
  EXPECT_EQ(engine_shutdown_send(ends.server.get()), ENGINE_WANT_OUTPUT);
  EXPECT_FALSE(engine_shutdown_sent(ends.server.get()));
  bytes_consume(output, bytes_len(output));
  EXPECT_EQ(engine_shutdown_send(ends.server.get()), ENGINE_DONE);
}

TEST_F(EngineTest, CanAnEngineBeFreedAtAnyPoint) {
  Peers peers = Contexts();
  MakeClient(peers.client);
  Ends half(MakeClient(peers.client), MakeServer(peers.server));
  engine_handshake(half.client.get());
  half.to_server.TakeFrom(half.client.get());
  half.to_server.ShowTo(half.server.get());
  engine_handshake(half.server.get());
  engine_free(nullptr);
}

// ---------------------------------------------------------------------------------------------
// Later in life.

TEST_F(EngineTest, DoKeysChangeUnderWay) {
  Ends ends = Shaken(Contexts(0x304));
  for (int i = 0; i < 3; i++) {
    ASSERT_EQ(SSL_key_update(ends.server->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ends.Send(false, "new keys");
    ends.Send(true, "answer with new keys");
    EXPECT_TRUE(engine_established(ends.client.get()));
  }
}

TEST_F(EngineTest, IsARenegotiationRefused) {
  Ends ends = Shaken(Contexts(0x303));
  EXPECT_EQ(SSL_renegotiate(ends.server->ssl), 0) << "not even begun here";
  SSL_clear_options(ends.server->ssl, SSL_OP_NO_RENEGOTIATION);
  ASSERT_EQ(SSL_renegotiate(ends.server->ssl), 1);
  EXPECT_NE(engine_handshake(ends.server.get()), ENGINE_FAILED);
  ends.to_client.TakeFrom(ends.server.get());
  ends.Read(false);
  EXPECT_TRUE(engine_established(ends.client.get()));
  EXPECT_FALSE(engine_failed(ends.client.get()));
  EXPECT_LT(bytes_len(engine_output(ends.client.get())), 64u) << "an alert, and no ClientHello";
}

TEST_F(EngineTest, IsACloseNotifyInPlaceOfAServerHelloAFailure) {
  Ends ends(MakeClient(Contexts().client), nullptr);
  engine_handshake(ends.client.get());
  const uint8_t alert[] = {0x15, 3, 3, 0, 2, 1, 0};
  engine_set_input(ends.client.get(), slice_of(alert, sizeof(alert)), false);
  EXPECT_EQ(engine_handshake(ends.client.get()), ENGINE_FAILED);
  EXPECT_EQ(engine_error(ends.client.get())->kind, TLS_ERROR_TLS);
  EXPECT_STREQ(engine_error(ends.client.get())->text,
               "the peer sent close_notify during the handshake");
  EXPECT_TRUE(engine_failed(ends.client.get()));
  engine_set_input(ends.client.get(), slice_of(nullptr, 0), false);
}

TEST_F(EngineTest, CanBuffersBeGivenBackBetween) {
  Ends ends = Shaken(Contexts());
  ends.Send(true, "before");
  engine_release_buffers(ends.client.get());
  engine_release_buffers(ends.server.get());
  EXPECT_EQ(engine_output(ends.client.get())->capacity, 0u);
  ends.Send(true, "after");
  ends.Send(false, "after");
}

TEST_F(EngineTest, DoesNotNegotiatedWaitForTheHandshake) {
  Peers peers = Contexts();
  Engine client = MakeClient(peers.client);
  struct engine_negotiated agreed;
  EXPECT_EQ(engine_negotiated(client.get(), arena_, &agreed).code, STATUS_FAILED_PRECONDITION);
  EXPECT_FALSE(engine_established(client.get()));
}

// ---------------------------------------------------------------------------------------------
// All versions with all keys.

struct Combination {
  int version;
  bool rsa;
  const char *name;
};

class EngineCombinationTest : public TlsTest, public ::testing::WithParamInterface<Combination> {};

TEST_P(EngineCombinationTest, DoBothEndsAgreeAndTalk) {
  const Combination &with = GetParam();
  Change server_change;
  server_change.Pair(with.rsa ? pki_get()->server_rsa : pki_get()->server);
  server_change.Versions(with.version, with.version);
  Change client_change = ClientChange();
  if (with.version < 0x303) {
    server_change.Ciphers("ALL:@SECLEVEL=0");
    client_change.Ciphers("ALL:@SECLEVEL=0").Versions(0x301, 0x304);
  }
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  Ends ends(MakeClient(client), MakeServer(server));
  ends.Shake();
  ASSERT_TRUE(ends.established()) << engine_error(ends.client.get())->text;
  ends.Send(true, std::string(50000, 'c'));
  ends.Send(false, std::string(50000, 's'));
  Arena arena;
  struct engine_negotiated agreed;
  ASSERT_EQ(engine_negotiated(ends.client.get(), arena, &agreed).code, STATUS_OK);
  EXPECT_EQ(agreed.version, with.version);
  if (with.version >= 0x303) {
    std::string signature = agreed.peer_signature;
    EXPECT_EQ(signature.substr(0, 3), with.rsa ? "RSA" : "ECD");
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EngineCombinationTest,
    ::testing::Values(Combination{0x301, false, "Tls10Ec"}, Combination{0x302, true, "Tls11Rsa"},
                      Combination{0x303, false, "Tls12Ec"}, Combination{0x303, true, "Tls12Rsa"},
                      Combination{0x304, false, "Tls13Ec"}, Combination{0x304, true, "Tls13Rsa"}),
    [](const ::testing::TestParamInfo<Combination> &with) { return with.param.name; });

}  // namespace
