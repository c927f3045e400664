#include "tests/unit/tls/harness.h"

slice Change::Keep(const std::string &text) {
  kept_.push_back(text);
  return Slice(kept_.back());
}

Change &Change::Pair(const std::string &chain, const std::string &key) {
  pairs_.push_back(tls_pair{Keep(chain), Keep(key), slice_of(nullptr, 0), false});
  return *this;
}

Change &Change::Pair(const std::string &chain, const std::string &key,
                     const std::string &password) {
  pairs_.push_back(tls_pair{Keep(chain), Keep(key), Keep(password), true});
  return *this;
}

Change &Change::Trust(const std::string &certificates) {
  certificates_.push_back(Keep(certificates));
  return *this;
}

Change &Change::Crl(const std::string &list) {
  crls_.push_back(Keep(list));
  return *this;
}

Change &Change::SystemTrust() {
  change_.trust.system = true;
  return *this;
}

Change &Change::Alpn(const std::vector<std::string> &protocols, bool require_overlap) {
  alpn_.clear();
  for (const std::string &protocol : protocols) {
    alpn_.push_back(Keep(protocol));
  }
  Set(TLS_SET_ALPN).alpn_require_overlap = require_overlap;
  return *this;
}

Change &Change::Versions(int min, int max) {
  Set(TLS_SET_MIN_VERSION).min_version = min;
  Set(TLS_SET_MAX_VERSION).max_version = max;
  return *this;
}

Change &Change::Ciphers(const char *list) {
  Set(TLS_SET_CIPHERS).ciphers = list;
  return *this;
}

Change &Change::Verify(tls_verify_mode mode) {
  Set(TLS_SET_VERIFY_MODE).verify_mode = mode;
  return *this;
}

Change &Change::CheckHostname(bool on) {
  Set(TLS_SET_CHECK_HOSTNAME).check_hostname = on;
  return *this;
}

const tls_context_change *Change::get() {
  change_.pairs = pairs_.data();
  change_.num_pairs = pairs_.size();
  change_.trust.certificates = certificates_.data();
  change_.trust.num_certificates = certificates_.size();
  change_.trust.crls = crls_.data();
  change_.trust.num_crls = crls_.size();
  change_.settings.alpn = alpn_.data();
  change_.settings.num_alpn = alpn_.size();
  return &change_;
}

Context MakeContext(tls_context_kind kind, Change &change) {
  tls_context *context = nullptr;
  Error error;
  status_t made = tls_context_new(kind, change.get(), &context, &error);
  EXPECT_EQ(made.code, STATUS_OK) << error.item << ": " << error.text << " " << error.reason;
  return Context(context);
}

Error Refused(tls_context_kind kind, Change &change, status_code expected) {
  tls_context *context = nullptr;
  Error error;
  status_t made = tls_context_new(kind, change.get(), &context, &error);
  EXPECT_EQ(made.code, expected);
  EXPECT_EQ(context, nullptr);
  tls_context_unref(context);
  return error;
}

static Engine MakeEngine(const Context &context, const engine_config &config) {
  engine *made = nullptr;
  Error error;
  status_t status = engine_new(context.get(), &config, &made, &error);
  EXPECT_EQ(status.code, STATUS_OK) << error.item << ": " << error.text;
  return Engine(made);
}

Engine MakeClient(const Context &context, const char *server_name, slice resumption) {
  return MakeEngine(context, engine_config{ENGINE_CLIENT, server_name, resumption, 1 << 18});
}

Engine MakeServer(const Context &context, size_t max_output) {
  return MakeEngine(context,
                    engine_config{ENGINE_SERVER, nullptr, slice_of(nullptr, 0), max_output});
}

void Wire::TakeFrom(engine *from) {
  struct bytes *output = engine_output(from);
  slice ready = bytes_peek(output);
  bytes_ += String(ready);
  bytes_consume(output, ready.len);
}

void Wire::ShowTo(engine *to, size_t most) {
  shown_ = std::min(most, bytes_.size());
  engine_set_input(to, slice_of(bytes_.data(), shown_), eof_ && shown_ == bytes_.size());
}

void Wire::Done(engine *to) {
  bytes_.erase(0, shown_ - engine_input_left(to));
  engine_set_input(to, slice_of(nullptr, 0), false);
}

static engine_result ShakeOne(engine *engine, Wire &in, Wire &out, size_t most, bool *moved) {
  size_t before = in.size() + out.size();
  in.ShowTo(engine, most);
  engine_result result = engine_handshake(engine);
  in.Done(engine);
  out.TakeFrom(engine);
  *moved = *moved || in.size() + out.size() != before;
  return result;
}

void Ends::Shake(size_t most) {
  bool moved = true;
  while (moved && !(client_result == ENGINE_DONE && server_result == ENGINE_DONE)) {
    moved = false;
    client_result = ShakeOne(client.get(), to_client, to_server, most, &moved);
    server_result = ShakeOne(server.get(), to_server, to_client, most, &moved);
  }
}

void Ends::Send(bool from_client, const std::string &text) {
  engine *from = from_client ? client.get() : server.get();
  Wire &wire = from_client ? to_server : to_client;
  size_t accepted = 0;
  EXPECT_EQ(engine_write(from, Slice(text), &accepted), ENGINE_DONE);
  EXPECT_EQ(accepted, text.size());
  wire.TakeFrom(from);
  EXPECT_EQ(Read(!from_client), text);
}

std::string Ends::Read(bool as_client, engine_result *last) {
  engine *to = as_client ? client.get() : server.get();
  Wire &wire = as_client ? to_client : to_server;
  std::string text;
  char buffer[5000];
  size_t len = 0;
  engine_result result = ENGINE_DONE;
  wire.ShowTo(to);
  while (result == ENGINE_DONE) {
    result = engine_read(to, buffer, sizeof(buffer), &len);
    text.append(buffer, len);
  }
  wire.Done(to);
  (as_client ? to_server : to_client).TakeFrom(to);
  if (last != nullptr) {
    *last = result;
  }
  return text;
}

Change ServerChange() {
  Change change;
  change.Pair(pki_get()->server);
  return change;
}

Change ClientChange() {
  Change change;
  change.Trust(pki_get()->root->pem);
  return change;
}

void TlsTest::SetUpTestSuite() {
  Error error;
  status_t started = tls_library_start(&error);
  ASSERT_EQ(started.code, STATUS_OK) << error.text << " " << error.reason;
}
