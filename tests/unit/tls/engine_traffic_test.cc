#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <cstring>

#include "tests/unit/tls/harness.h"

namespace {

enum { kHeader = 5, kTag = 16, kData = 23, kHandshake = 22, kAlert = 21 };

// Who goes on with the records, with nothing but the keys and OpenSSL's ciphers.
class Records {
 public:
  explicit Records(const struct engine_traffic_keys &keys) : keys_(keys) {}

  // A whole record, as RFC 8446, section 5.2, has it.
  std::string Seal(const std::string &content, int type = kData) {
    std::string inner = content + (char)type;
    size_t len = inner.size() + kTag;
    std::string header = {kData, 3, 3, (char)(len >> 8), (char)len};
    std::string out(len, '\0');
    EVP_CIPHER_CTX *context = Begin(keys_.send, true, header);
    int n = 0;
    EXPECT_EQ(EVP_EncryptUpdate(context, Bytes(out), &n, Bytes(inner), (int)inner.size()), 1);
    EXPECT_EQ(EVP_EncryptFinal_ex(context, Bytes(out) + n, &n), 1);
    EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTag, &out[inner.size()]), 1);
    EVP_CIPHER_CTX_free(context);
    keys_.send.sequence++;
    return header + out;
  }

  // What is in the first record of wire, its inner type last; the record is taken off. "" when it
  // doesn't open.
  std::string Open(std::string *wire) {
    std::string header = wire->substr(0, kHeader);
    size_t len = (size_t)(uint8_t)header[3] << 8 | (uint8_t)header[4];
    std::string body = wire->substr(kHeader, len);
    wire->erase(0, kHeader + len);
    std::string out(len - kTag, '\0');
    EVP_CIPHER_CTX *context = Begin(keys_.receive, false, header);
    int n = 0;
    EVP_DecryptUpdate(context, Bytes(out), &n, Bytes(body), (int)out.size());
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, &body[out.size()]);
    bool good = EVP_DecryptFinal_ex(context, Bytes(out) + n, &n) == 1;
    EVP_CIPHER_CTX_free(context);
    keys_.receive.sequence++;
    return good ? out : "";
  }

 private:
  static unsigned char *Bytes(std::string &text) {
    return (unsigned char *)text.data();
  }
  const EVP_CIPHER *Cipher() const {
    switch (keys_.cipher) {
      case ENGINE_AES_128_GCM:
        return EVP_aes_128_gcm();
      case ENGINE_AES_256_GCM:
        return EVP_aes_256_gcm();
      default:
        return EVP_chacha20_poly1305();
    }
  }
  EVP_CIPHER_CTX *Begin(const engine_traffic_key &key, bool seal, std::string header) {
    uint8_t nonce[ENGINE_TRAFFIC_IV];
    memcpy(nonce, key.iv, sizeof(nonce));
    for (int i = 0; i < 8; i++) {
      nonce[sizeof(nonce) - 1 - i] ^= (uint8_t)(key.sequence >> (8 * i));
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EXPECT_EQ(EVP_CipherInit_ex(context, Cipher(), nullptr, key.key, nonce, seal), 1);
    int n = 0;
    EXPECT_EQ(EVP_CipherUpdate(context, nullptr, &n, Bytes(header), kHeader), 1);
    return context;
  }
  struct engine_traffic_keys keys_;
};

class EngineTraffic : public TlsTest {
 protected:
  static void SetUpTestSuite() {
    TlsTest::SetUpTestSuite();
    engine_allow_traffic_keys();
  }
  static Engine Make(const Context &context, engine_role role, bool keys) {
    engine_config config = {};
    config.role = role;
    config.server_name = role == ENGINE_CLIENT ? "host.test" : nullptr;
    config.traffic_keys = keys;
    Error error;
    engine *made = nullptr;
    EXPECT_EQ(engine_new(context.get(), &config, &made, &error).code, STATUS_OK) << error.text;
    return Engine(made);
  }
  Ends Shaken(const char *suite, int version = TLS1_3_VERSION, bool keys = true) {
    Change server = ServerChange();
    Change client = ClientChange();
    client.Versions(version, version);
    if (suite != nullptr) {
      client.Set(TLS_SET_CIPHERSUITES).ciphersuites = suite;
      server.Set(TLS_SET_CIPHERSUITES).ciphersuites = suite;
    }
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    Ends ends(Make(client_, ENGINE_CLIENT, keys), Make(server_, ENGINE_SERVER, keys));
    ends.Shake();
    EXPECT_TRUE(ends.established());
    return ends;
  }
  static struct engine_traffic_keys Keys(const Engine &engine) {
    struct engine_traffic_keys keys = {};
    const char *why = nullptr;
    EXPECT_EQ(engine_traffic_keys(engine.get(), &keys, &why).code, STATUS_OK) << why;
    return keys;
  }
  static std::string WhyNot(const Engine &engine) {
    struct engine_traffic_keys keys = {};
    const char *why = nullptr;
    EXPECT_EQ(engine_traffic_keys(engine.get(), &keys, &why).code, STATUS_FAILED_PRECONDITION);
    return why == nullptr ? "" : why;
  }
  // The keys of one end talk to the other end's engine, both ways.
  static void Talk(Ends &ends, bool as_client) {
    Records records(Keys(as_client ? ends.client : ends.server));
    const Engine &peer = as_client ? ends.server : ends.client;
    Wire &to_peer = as_client ? ends.to_server : ends.to_client;
    Wire from_peer;
    for (const char *text : {"one", "two", "three"}) {
      to_peer.content() += records.Seal(text);
      EXPECT_EQ(ends.Read(!as_client), text);
      size_t accepted = 0;
      EXPECT_EQ(engine_write(peer.get(), Slice(text), &accepted), ENGINE_DONE);
      from_peer.TakeFrom(peer.get());
      EXPECT_EQ(records.Open(&from_peer.content()), std::string(text) + (char)kData);
    }
    EXPECT_EQ(engine_shutdown_send(peer.get()), ENGINE_DONE);
    from_peer.TakeFrom(peer.get());
    EXPECT_EQ(records.Open(&from_peer.content()), std::string("\1\0", 2) + (char)kAlert);
    to_peer.content() += records.Seal(std::string("\1\0", 2), kAlert);
    engine_result last;
    EXPECT_EQ(ends.Read(!as_client, &last), "");
    EXPECT_EQ(last, ENGINE_CLOSED);
  }
  // Each asks the other for new keys, and they talk in between.
  static void UpdateKeys(Ends &ends) {
    EXPECT_EQ(engine_update_keys(ends.client.get(), true), ENGINE_DONE);
    ends.Send(true, "new keys");
    ends.Send(false, "here too");
    EXPECT_EQ(engine_update_keys(ends.server.get(), false), ENGINE_DONE);
    ends.Send(false, "and again");
    ends.Send(true, "yes");
  }
  Context server_, client_;
};

const char *const kSuites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                               "TLS_CHACHA20_POLY1305_SHA256"};

TEST_F(EngineTraffic, DoTheKeysMakeAndOpenThePeersRecords) {
  for (const char *suite : kSuites) {
    for (bool as_client : {true, false}) {
      Ends ends = Shaken(suite);
      ends.Read(true);  // tickets
      Talk(ends, as_client);
    }
  }
}

TEST_F(EngineTraffic, DoTheyAfterRecordsAndNewKeys) {
  for (const char *suite : kSuites) {
    for (bool as_client : {true, false}) {
      Ends ends = Shaken(suite);
      ends.Read(true);
      ends.Send(true, std::string(40000, 'x'));
      UpdateKeys(ends);
      Talk(ends, as_client);
    }
  }
}

// A second ClientHello, and a client that shows a certificate: more records under other keys.
TEST_F(EngineTraffic, DoTheyAfterALongerHandshake) {
  for (bool as_client : {true, false}) {
    Change server = ServerChange();
    server.Trust(pki_get()->root->pem).Verify(TLS_VERIFY_REQUIRED);
    server.Set(TLS_SET_GROUPS).groups = "P-384";
    Change client = ClientChange();
    client.Pair(pki_get()->client);
    client.Set(TLS_SET_GROUPS).groups = "X25519:P-384";
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    Ends ends(Make(client_, ENGINE_CLIENT, true), Make(server_, ENGINE_SERVER, true));
    ends.Shake(100);
    ASSERT_TRUE(ends.established());
    ends.Read(true);
    Talk(ends, as_client);
  }
}

TEST_F(EngineTraffic, DoTheyWhenASessionIsResumed) {
  for (bool as_client : {true, false}) {
    Ends first = Shaken(kSuites[1]);
    first.Read(true);
    Arena arena;
    struct engine_resumption session = {};
    ASSERT_EQ(engine_resumption(first.client.get(), arena, &session).code, STATUS_OK);
    engine_config config = {};
    config.role = ENGINE_CLIENT;
    config.server_name = "host.test";
    config.traffic_keys = true;
    config.resumption = session.sealed;
    Error error;
    engine *made = nullptr;
    ASSERT_EQ(engine_new(client_.get(), &config, &made, &error).code, STATUS_OK) << error.text;
    Ends ends(Engine(made), Make(server_, ENGINE_SERVER, true));
    ends.Shake();
    struct engine_negotiated negotiated;
    ASSERT_EQ(engine_negotiated(ends.client.get(), arena, &negotiated).code, STATUS_OK);
    EXPECT_TRUE(negotiated.resumed);
    ends.Read(true);
    Talk(ends, as_client);
  }
}

TEST_F(EngineTraffic, AreTicketsThatHaveNotBeenReadTheFirstRecordsToOpen) {
  Ends ends = Shaken(kSuites[0]);
  ASSERT_FALSE(ends.to_client.empty());
  Records records(Keys(ends.client));
  std::string wire = ends.to_client.content();
  while (!wire.empty()) {
    std::string ticket = records.Open(&wire);
    ASSERT_FALSE(ticket.empty());
    EXPECT_EQ(ticket.front(), SSL3_MT_NEWSESSION_TICKET);
    EXPECT_EQ(ticket.back(), kHandshake);
  }
}

TEST_F(EngineTraffic, AreBothEndsOfOneMind) {
  Ends ends = Shaken(kSuites[1]);
  ends.Read(true);
  UpdateKeys(ends);
  struct engine_traffic_keys client = Keys(ends.client);
  struct engine_traffic_keys server = Keys(ends.server);
  EXPECT_EQ(client.version, TLS1_3_VERSION);
  EXPECT_EQ(client.cipher, ENGINE_AES_256_GCM);
  EXPECT_EQ(memcmp(&client.send, &server.receive, sizeof(client.send)), 0);
  EXPECT_EQ(memcmp(&client.receive, &server.send, sizeof(client.send)), 0);
  EXPECT_NE(memcmp(&client.send, &client.receive, sizeof(client.send)), 0);
}

TEST_F(EngineTraffic, IsWhatCannotBeHandedOnRefused) {
  Ends old = Shaken(nullptr, TLS1_2_VERSION);
  EXPECT_EQ(WhyNot(old.client), "only TLS 1.3 is handed to the kernel");
  Ends unasked = Shaken(kSuites[0], TLS1_3_VERSION, false);
  EXPECT_EQ(WhyNot(unasked.client),
            "the keys of this session were not kept: the wish has to come with Connect or Accept");
  Ends other = Shaken("TLS_AES_128_CCM_SHA256");
  EXPECT_EQ(WhyNot(other.client), "the cipher is none of those that are handed to the kernel");
  Ends forgotten = Shaken(kSuites[0]);
  engine_forget_traffic_keys(forgotten.client.get());
  EXPECT_NE(WhyNot(forgotten.client), "");
  Ends early(Make(client_, ENGINE_CLIENT, true), Make(server_, ENGINE_SERVER, true));
  EXPECT_EQ(WhyNot(early.client), "the handshake isn't done");
}

TEST_F(EngineTraffic, IsNothingGivenWhileTheEngineHoldsPlaintext) {
  Ends ends = Shaken(kSuites[0]);
  ends.Read(true);
  size_t len = 0;
  char some[2];
  ASSERT_EQ(engine_write(ends.client.get(), Slice("plaintext"), &len), ENGINE_DONE);
  EXPECT_EQ(WhyNot(ends.client), "something is still to be sent");
  ends.to_server.TakeFrom(ends.client.get());
  ends.to_server.ShowTo(ends.server.get());
  EXPECT_EQ(WhyNot(ends.server), "the peer has sent something already");
  ASSERT_EQ(engine_read(ends.server.get(), some, sizeof(some), &len), ENGINE_DONE);
  ends.to_server.Done(ends.server.get());
  EXPECT_EQ(WhyNot(ends.server), "the peer has sent something already");
  EXPECT_EQ(ends.Read(false), "aintext");
  Keys(ends.server);
  Keys(ends.client);
}

TEST_F(EngineTraffic, IsNothingGivenInTheMiddleOfARecord) {
  Ends ends = Shaken(kSuites[0]);
  ends.Read(true);
  size_t len = 0;
  char buffer[100];
  ASSERT_EQ(engine_write(ends.client.get(), Slice("plaintext"), &len), ENGINE_DONE);
  ends.to_server.TakeFrom(ends.client.get());
  while (ends.to_server.size() > 1) {
    ends.to_server.ShowTo(ends.server.get(), 1);
    ASSERT_EQ(engine_read(ends.server.get(), buffer, sizeof(buffer), &len), ENGINE_WANT_INPUT);
    ends.to_server.Done(ends.server.get());
    ASSERT_EQ(WhyNot(ends.server), "the peer has sent something already") << ends.to_server.size();
  }
  EXPECT_EQ(ends.Read(false), "plaintext");
  Talk(ends, false);
}

TEST_F(EngineTraffic, IsNothingGivenWhileMoreThanDataIsUnderWay) {
  Ends updating = Shaken(kSuites[0]);
  updating.Read(true);
  ASSERT_EQ(engine_update_keys(updating.client.get(), false), ENGINE_DONE);
  EXPECT_EQ(WhyNot(updating.client), "another handshake has begun after the first");
  Ends ended = Shaken(kSuites[0]);
  ASSERT_EQ(engine_shutdown_send(ended.client.get()), ENGINE_DONE);
  EXPECT_EQ(WhyNot(ended.client), "the session has ended, or is about to");
}

TEST_F(EngineTraffic, IsNothingGivenOnceACertificateWasAskedFor) {
  Change server = ServerChange();
  server.Trust(pki_get()->root->pem).Verify(TLS_VERIFY_OPTIONAL);
  server.Set(TLS_SET_POST_HANDSHAKE_AUTH).post_handshake_auth = true;
  Change client = ClientChange();
  client.Set(TLS_SET_POST_HANDSHAKE_AUTH).post_handshake_auth = true;
  server_ = MakeContext(TLS_CONTEXT_SERVER, server);
  client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  Ends ends(Make(client_, ENGINE_CLIENT, true), Make(server_, ENGINE_SERVER, true));
  ends.Shake();
  ASSERT_EQ(engine_request_certificate(ends.server.get()), ENGINE_DONE);
  ends.Read(false);  // the request goes out
  EXPECT_EQ(WhyNot(ends.server), "another handshake has begun after the first");
}

TEST_F(EngineTraffic, DoEventsStayWhatTheContextSays) {
  Ends ends = Shaken(kSuites[0]);
  Arena arena;
  struct engine_event *events = nullptr;
  size_t num = 1;
  EXPECT_EQ(engine_take_events(ends.client.get(), arena, SIZE_MAX, &events, &num).code, STATUS_OK);
  EXPECT_EQ(num, 0u);
}

}  // namespace
