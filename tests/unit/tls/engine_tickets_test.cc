#include <atomic>
#include <thread>

#include "server/tls/engine_private.h"
#include "tests/support/peer.h"
#include "tests/unit/tls/harness.h"

namespace {

std::atomic<clock_time> test_time;

clock_time TestClock() {
  return test_time;
}

// A session that a client keeps, and what came of offering it.
struct SessionFree {
  void operator()(SSL_SESSION *session) const {
    SSL_SESSION_free(session);
  }
};
using Session = std::unique_ptr<SSL_SESSION, SessionFree>;

struct Outcome {
  bool established = false;
  bool resumed = false;
  Session session;
};

// Shakes hands with a server engine as OpenSSL alone does it: what it keeps is its own to look at.
Outcome Visit(const Context &server, int version, SSL_SESSION *offered = nullptr,
              const pki_identity *identity = nullptr) {
  peer_request request = {};
  request.version = version;
  request.identity = identity;
  peer *client = peer_new(&request, -1);
  SSL *ssl = peer_ssl(client);
  EXPECT_TRUE(offered == nullptr || SSL_set_session(ssl, offered));
  Engine engine = MakeServer(server);
  bool client_done = false;
  enum engine_result result = ENGINE_WANT_INPUT;
  for (int flight = 0; flight < 6 && result != ENGINE_FAILED; flight++) {
    char bytes[20000];
    client_done = SSL_do_handshake(ssl) == 1;
    size_t len = peer_take(client, bytes, sizeof(bytes));
    engine_set_input(engine.get(), slice_of(bytes, len), false);
    result = engine_handshake(engine.get());
    engine_set_input(engine.get(), slice_of(nullptr, 0), false);
    slice output = bytes_peek(engine_output(engine.get()));
    peer_feed(client, output.data, output.len);
    bytes_consume(engine_output(engine.get()), output.len);
  }
  char none;
  EXPECT_LE(SSL_read(ssl, &none, 1), 0);  // takes the tickets in
  Outcome outcome;
  outcome.established = client_done && result == ENGINE_DONE;
  outcome.resumed = outcome.established && SSL_session_reused(ssl) == 1;
  outcome.session = Session(SSL_get1_session(ssl));
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  peer_free(client);
  return outcome;
}

std::string Ticket(const Session &session) {
  const unsigned char *ticket = nullptr;
  size_t len = 0;
  SSL_SESSION_get0_ticket(session.get(), &ticket, &len);
  return std::string(reinterpret_cast<const char *>(ticket), len);
}

std::string KeyName(const Session &session) {
  return Ticket(session).substr(0, TICKET_KEY_NAME_BYTES);
}

// The same session with another ticket.
Session WithTicket(const Session &session, const std::string &ticket) {
  unsigned char *der = nullptr;
  int len = i2d_SSL_SESSION(session.get(), &der);
  std::string encoded(reinterpret_cast<char *>(der), len);
  OPENSSL_free(der);
  encoded.replace(encoded.find(Ticket(session)), ticket.size(), ticket);
  auto at = reinterpret_cast<const unsigned char *>(encoded.data());
  return Session(d2i_SSL_SESSION(nullptr, &at, len));
}

class EngineTicketsTest : public TlsTest {
 protected:
  EngineTicketsTest() {
    Renew();
  }
  void Renew() {
    Change change = ServerChange();
    server_ = MakeContext(TLS_CONTEXT_SERVER, change);
  }
  // Makes a server whose keys look at test_time.
  void RenewWithClock() {
    Renew();
    Engine engine = MakeServer(server_);
    test_time = clock_now();
    ticket_keys_set_clock(engine->edition->ticket_keys, TestClock);
  }
  static void PassHours(unsigned hours) {
    test_time = test_time + (hours * 3600 + 1) * NANOS_PER_SECOND;
  }
  void Configure(Change &change) {
    Error error;
    ASSERT_EQ(tls_context_configure(server_.get(), change.get(), &error).code, STATUS_OK)
        << error.text;
  }
  Context server_;
};

const int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

TEST_F(EngineTicketsTest, DoesATicketResume) {
  for (int version : kVersions) {
    Outcome first = Visit(server_, version);
    EXPECT_TRUE(first.established);
    EXPECT_FALSE(first.resumed);
    ASSERT_TRUE(SSL_SESSION_has_ticket(first.session.get()));
    EXPECT_TRUE(Visit(server_, version, first.session.get()).resumed);
  }
}

// As with OpenSSL's own keys.
TEST_F(EngineTicketsTest, IsThereANewOneForEachResumptionOfTls13) {
  Outcome first = Visit(server_, TLS1_3_VERSION);
  Outcome second = Visit(server_, TLS1_3_VERSION, first.session.get());
  EXPECT_TRUE(second.resumed);
  EXPECT_NE(Ticket(first.session), Ticket(second.session));
  first = Visit(server_, TLS1_2_VERSION);
  second = Visit(server_, TLS1_2_VERSION, first.session.get());
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(Ticket(first.session), Ticket(second.session));
}

// Who learns a ticket's key reads no connection that it resumed, and no data comes before the
// handshake.
TEST_F(EngineTicketsTest, IsThereAKeyExchangeInAResumptionAndNoEarlyData) {
  EXPECT_EQ(tls_default_settings(TLS_CONTEXT_SERVER)->options & SSL_OP_ALLOW_NO_DHE_KEX, 0u);
  Outcome first = Visit(server_, TLS1_3_VERSION);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(first.session.get()), 0u);
}

TEST_F(EngineTicketsTest, DoTicketsOfAKeyBeforeResumeAndAreTheyRenewed) {
  for (int version : kVersions) {
    RenewWithClock();
    Outcome first = Visit(server_, version);
    PassHours(1);
    Outcome second = Visit(server_, version, first.session.get());
    EXPECT_TRUE(second.resumed);
    EXPECT_NE(KeyName(first.session), KeyName(second.session));
    PassHours(1);
    EXPECT_TRUE(Visit(server_, version, first.session.get()).resumed);
    PassHours(1);
    EXPECT_TRUE(Visit(server_, version, second.session.get()).resumed);
  }
}

TEST_F(EngineTicketsTest, IsOneThatIsTooOldAFullHandshake) {
  for (int version : kVersions) {
    RenewWithClock();
    Outcome first = Visit(server_, version);
    PassHours(3);
    Outcome second = Visit(server_, version, first.session.get());
    EXPECT_TRUE(second.established);
    EXPECT_FALSE(second.resumed);
    EXPECT_TRUE(Visit(server_, version, second.session.get()).resumed);
  }
}

TEST_F(EngineTicketsTest, IsOneThatWasTamperedWithAFullHandshake) {
  for (int version : kVersions) {
    Outcome first = Visit(server_, version);
    std::string ticket = Ticket(first.session);
    for (size_t at : {size_t{0}, size_t{20}, size_t{40}, ticket.size() - 40, ticket.size() - 1}) {
      std::string changed = ticket;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      Session offered = WithTicket(first.session, changed);
      ASSERT_NE(offered, nullptr);
      Outcome second = Visit(server_, version, offered.get());
      EXPECT_TRUE(second.established) << at;
      EXPECT_FALSE(second.resumed) << at;
    }
    EXPECT_TRUE(Visit(server_, version, WithTicket(first.session, ticket).get()).resumed);
  }
}

TEST_F(EngineTicketsTest, IsOneOfAnotherContextAFullHandshake) {
  Change change = ServerChange();
  Context other = MakeContext(TLS_CONTEXT_SERVER, change);
  for (int version : kVersions) {
    Outcome first = Visit(other, version);
    Outcome second = Visit(server_, version, first.session.get());
    EXPECT_TRUE(second.established);
    EXPECT_FALSE(second.resumed);
  }
}

TEST_F(EngineTicketsTest, DoTheyEndWithWhatIsVerifiedAndWithNothingElse) {
  for (int version : kVersions) {
    Renew();
    Outcome first = Visit(server_, version);
    Change alpn;
    alpn.Alpn({"h2"});
    Configure(alpn);
    EXPECT_TRUE(Visit(server_, version, first.session.get()).resumed);
    Change trust;
    trust.Trust(pki_get()->root->pem);
    Configure(trust);
    Outcome second = Visit(server_, version, first.session.get());
    EXPECT_TRUE(second.established);
    EXPECT_FALSE(second.resumed);
  }
}

TEST_F(EngineTicketsTest, DoClientCertificatesResume) {
  Change verify;
  verify.Trust(pki_get()->root->pem).Verify(TLS_VERIFY_REQUIRED);
  Configure(verify);
  for (int version : kVersions) {
    Outcome first = Visit(server_, version, nullptr, pki_get()->client);
    ASSERT_TRUE(first.established);
    EXPECT_TRUE(Visit(server_, version, first.session.get(), pki_get()->client).resumed);
  }
}

// What a change of the lifetime says counts for the keys that are there.
TEST_F(EngineTicketsTest, DoesTheTimeoutOfSessionsTellTheirLifetime) {
  RenewWithClock();
  Change change;
  change.Set(TLS_SET_SESSION_TIMEOUT).session_timeout = 24 * 3600;
  Configure(change);
  Outcome first = Visit(server_, TLS1_3_VERSION);
  PassHours(11);
  Outcome second = Visit(server_, TLS1_3_VERSION, first.session.get());
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(KeyName(first.session), KeyName(second.session));
}

TEST_F(EngineTicketsTest, DoesATicketOfOneWorkerResumeOnAnother) {
  for (int version : kVersions) {
    Outcome first;
    std::thread one([&] { first = Visit(server_, version); });
    one.join();
    Outcome second;
    std::thread other([&] { second = Visit(server_, version, first.session.get()); });
    other.join();
    EXPECT_TRUE(second.resumed);
  }
}

// Several workers at once, the keys changing under them.
TEST_F(EngineTicketsTest, CanWorkersShareThemWhileTheyChange) {
  enum { WORKERS = 3, VISITS = 30 };
  RenewWithClock();
  std::atomic<int> resumed(0);
  std::vector<std::thread> workers;
  for (int i = 0; i < WORKERS; i++) {
    workers.emplace_back([&, version = kVersions[i % 2]] {
      Outcome last = Visit(server_, version);
      for (int visit = 0; visit < VISITS; visit++) {
        last = Visit(server_, version, last.session.get());
        EXPECT_TRUE(last.established);
        resumed += last.resumed;
        test_time += 90 * NANOS_PER_SECOND;
      }
    });
  }
  for (std::thread &worker : workers) {
    worker.join();
  }
  EXPECT_EQ(resumed, WORKERS * VISITS);
}

// An SSL that belongs to no engine gets none, and is none the worse for it.
TEST_F(EngineTicketsTest, IsAnEngineNeeded) {
  Change change = ServerChange();
  edition *made = nullptr;
  Error error;
  ASSERT_EQ(edition_new(TLS_CONTEXT_SERVER, nullptr, change.get(), &made, &error).code, STATUS_OK);
  const peer_request request = {};
  peer *client = peer_new(&request, -1);
  SSL *server = SSL_new(made->ctx);
  BIO *in = BIO_new(BIO_s_mem());
  BIO *out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(server, in, out);
  SSL_set_accept_state(server);
  char bytes[20000];
  for (int flight = 0; flight < 3; flight++) {
    SSL_do_handshake(peer_ssl(client));
    size_t len = peer_take(client, bytes, sizeof(bytes));
    EXPECT_TRUE(len == 0 || BIO_write(in, bytes, static_cast<int>(len)) > 0);
    SSL_do_handshake(server);
    int sent = BIO_read(out, bytes, sizeof(bytes));
    peer_feed(client, bytes, sent > 0 ? static_cast<size_t>(sent) : 0);
  }
  char none;
  EXPECT_LE(SSL_read(peer_ssl(client), &none, 1), 0);
  EXPECT_TRUE(SSL_is_init_finished(server));
  EXPECT_TRUE(SSL_is_init_finished(peer_ssl(client)));
  EXPECT_FALSE(SSL_SESSION_has_ticket(SSL_get0_session(peer_ssl(client))));
  SSL_free(server);
  peer_free(client);
  edition_free(made);
}

}  // namespace
