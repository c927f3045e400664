// What happens when memory runs out, allocation by allocation. OpenSSL lets its allocator be
// replaced only before its first use: hence a program of its own.
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include <atomic>

#include "tests/support/fibres.h"
#include "tests/unit/tls/harness.h"

namespace {

std::atomic<long> left(-1);  // allocations until one fails; -1: none does
std::atomic<bool> failed(false);

constexpr size_t kStack = 32768;  // a fibre's, as OpenSSL has it
std::atomic<long> stacks(0);      // that were asked for, less those that were freed

bool IsStack(void *block) {
  size_t size = block == nullptr ? 0 : malloc_usable_size(block);
  return size >= kStack && size < kStack + 64;
}

bool Fails() {
  if (left < 0) {
    return false;
  }
  if (left-- == 0) {
    failed = true;
    return true;
  }
  return false;
}

void *Allocate(size_t size, const char *, int) {
  void *block = Fails() ? nullptr : malloc(size);
  stacks += IsStack(block);
  return block;
}

void *Reallocate(void *block, size_t size, const char *, int) {
  return Fails() ? nullptr : realloc(block, size);
}

void Free(void *block, const char *, int) {
  stacks -= IsStack(block);
  free(block);
}

const int replaced = CRYPTO_set_mem_functions(Allocate, Reallocate, Free);

class AllocationTest : public TlsTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(replaced, 1);
    TlsTest::SetUpTestSuite();
  }
  // Calls work with its first allocation failing, then with a later one, and so on until none does.
  // The stride saves time where there are thousands; with TLSAGENT_EVERY_ALLOCATION set it is 1.
  template <typename Work>
  void FailEach(Work work, long stride) {
    stride = getenv("TLSAGENT_EVERY_ALLOCATION") == nullptr ? stride : 1;
    long n = 0;
    do {
      failed = false;
      left = n;
      work();
      left = -1;
      n += stride;
    } while (failed && !HasFatalFailure());
    EXPECT_GT(n, stride);
  }
};

TEST_F(AllocationTest, DoesAContextComeOutWholeOrNotAtAll) {
  Change change = ServerChange();
  change.Trust(pki_get()->root->pem).Alpn({"h2"});
  change.get();
  Change client_change = ClientChange();
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  size_t ciphers = 0;
  int made = 0;
  FailEach(
      [&] {
        tls_context *context = nullptr;
        Error error;
        status_t status = tls_context_new(TLS_CONTEXT_BOTH, change.get(), &context, &error);
        left = -1;
        ASSERT_EQ(status_ok(status), context != nullptr);
        if (context == nullptr) {
          EXPECT_STRNE(error.text, "");
          return;
        }
        made++;
        Context owned(context);
        Arena arena;
        tls_context_info info;
        ASSERT_EQ(tls_context_describe(context, arena, &info).code, STATUS_OK);
        ciphers = ciphers == 0 ? info.num_ciphers : ciphers;
        EXPECT_EQ(info.num_ciphers, ciphers);
        Ends ends(MakeClient(client), MakeServer(owned));
        ends.Shake();
        EXPECT_TRUE(ends.established());
      },
      101);
  EXPECT_GT(made, 0);
}

TEST_F(AllocationTest, IsAContextUnchangedWhenAChangeFails) {
  Change change = ServerChange();
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  Change more;
  more.Pair(pki_get()->server_rsa).Alpn({"h2"});
  more.get();
  FailEach(
      [&] {
        Error error;
        status_t status = tls_context_configure(context.get(), more.get(), &error);
        left = -1;
        Arena arena;
        tls_context_info info;
        ASSERT_EQ(tls_context_describe(context.get(), arena, &info).code, STATUS_OK);
        if (!status_ok(status) && info.num_certificates == 2) {
          EXPECT_EQ(info.settings.num_alpn, 1u);  // an earlier round went through
        }
      },
      101);
}

TEST_F(AllocationTest, DoesASessionFailWithAReasonOrNotAtAll) {
  Change server_change = ServerChange();
  Change client_change = ClientChange();
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  int established = 0;
  FailEach(
      [&] {
        const engine_config client_config = {ENGINE_CLIENT, "host.test"};
        const engine_config server_config = {ENGINE_SERVER};
        engine *made[2] = {nullptr, nullptr};
        Error error;
        bool good = status_ok(engine_new(client.get(), &client_config, &made[0], &error)) &&
                    status_ok(engine_new(server.get(), &server_config, &made[1], &error));
        Ends ends{Engine(made[0]), Engine(made[1])};
        if (!good) {
          left = -1;
          EXPECT_EQ(error.os_errno, ENOMEM) << error.text;
          return;
        }
        ends.Shake();
        left = -1;
        for (engine *each : made) {
          bool failed_with_reason = engine_error(each)->kind != TLS_ERROR_NONE;
          bool done = engine_established(each);
          EXPECT_TRUE(done || failed_with_reason || !ends.established());
        }
        established += ends.established();
      },
      23);
  EXPECT_GT(established, 0);
  // The contexts are none the worse for it.
  Ends ends(MakeClient(client), MakeServer(server));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

// Answers whatever is asked, and puts a server on the other context first.
void Decide(engine *engine, tls_context *other) {
  const struct engine_decision *decision = engine_decision(engine);
  struct engine_answer answer = {};
  const char *why = nullptr;
  Error error;
  if (decision == nullptr) {
    return;
  }
  if (decision->kind == ENGINE_DECIDE_SERVER_NAME) {
    (void)engine_set_context(engine, other, &error).code;
  }
  answer.kind = decision->kind == ENGINE_DECIDE_SERVER_NAME ? ENGINE_PROCEED : ENGINE_PSK;
  answer.identity = decision->kind == ENGINE_DECIDE_PSK_CLIENT ? "me" : "";
  answer.key = slice_of_string("secret");
  EXPECT_EQ(engine_answer(engine, &answer, &why).code, STATUS_OK);
}

TEST_F(AllocationTest, DoesASessionThatAsksFailOrNotAtAll) {
  if (!CanGoBackToFibres()) {
    GTEST_SKIP() << "no fibres";
  }
  Change server_change = ServerChange();
  server_change.Set(TLS_SET_DECISIONS).decisions = {true, false, true};
  server_change.Set(TLS_SET_EVENTS).events = {true, true};
  Change other_change = ServerChange();
  Change client_change = ClientChange();
  client_change.Set(TLS_SET_DECISIONS).decisions.psk_client = true;
  client_change.Set(TLS_SET_CIPHERSUITES).ciphersuites = "TLS_AES_128_GCM_SHA256";
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context other = MakeContext(TLS_CONTEXT_SERVER, other_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  int established = 0;
  FailEach(
      [&] {
        const engine_config client_config = {ENGINE_CLIENT, "host.test"};
        const engine_config server_config = {ENGINE_SERVER};
        engine *made[2] = {nullptr, nullptr};
        Error error;
        (void)engine_new(client.get(), &client_config, &made[0], &error).code;
        (void)engine_new(server.get(), &server_config, &made[1], &error).code;
        Ends ends{Engine(made[0]), Engine(made[1])};
        for (int i = 0; made[0] != nullptr && made[1] != nullptr && i < 4; i++) {
          ends.Shake();
          Decide(made[0], nullptr);
          Decide(made[1], other.get());
        }
        left = -1;
        established += made[0] != nullptr && made[1] != nullptr && ends.established();
      },
      23);
  EXPECT_GT(established, 0);
}

// OpenSSL would keep as many stacks as there ever were at once, on each thread.
TEST_F(AllocationTest, AreStacksGivenBackWithTheLastFibre) {
  if (!CanGoBackToFibres()) {
    GTEST_SKIP() << "no fibres";
  }
  Change server_change = ServerChange();
  Change client_change = ClientChange();
  client_change.Versions(0x304, 0x304).Set(TLS_SET_DECISIONS).decisions.psk_client = true;
  client_change.Set(TLS_SET_CIPHERSUITES).ciphersuites = "TLS_AES_128_GCM_SHA256";
  Context server = MakeContext(TLS_CONTEXT_SERVER, server_change);
  Context client = MakeContext(TLS_CONTEXT_CLIENT, client_change);
  const long before = stacks;
  std::vector<Ends> all;
  for (int i = 0; i < 5; i++) {
    all.emplace_back(MakeClient(client), MakeServer(server));
    all.back().Shake();
    ASSERT_NE(engine_decision(all.back().client.get()), nullptr);
  }
  EXPECT_GE(stacks, before + 5);
  Decide(all[0].client.get(), nullptr);
  all[0].Shake();
  all.erase(all.begin() + 1, all.end());
  EXPECT_LE(stacks, before);
}

TEST_F(AllocationTest, IsACertificateDecodedWholeOrNotAtAll) {
  slice der = pki_get()->server->der;
  Arena whole;
  tls_certificate good;
  Error none;
  ASSERT_EQ(tls_certificate_decode(der, whole, &good, &none).code, STATUS_OK);
  FailEach(
      [&] {
        Arena arena;
        tls_certificate out;
        Error error;
        status_t status = tls_certificate_decode(der, arena, &out, &error);
        left = -1;
        if (status_ok(status)) {
          EXPECT_EQ(memcmp(out.fingerprint_sha256, good.fingerprint_sha256, 32), 0);
          EXPECT_EQ(out.num_alt_names, good.num_alt_names);
          EXPECT_STREQ(out.serial_number, good.serial_number);
          EXPECT_STREQ(out.subject_text, good.subject_text);
          EXPECT_STREQ(out.pem, pki_get()->server->pem);
        }
      },
      3);
}

TEST_F(AllocationTest, DoesAVerificationNeverSayGoodForWantOfMemory) {
  const struct pki *pki = pki_get();
  slice trust = slice_of_string(pki->root->pem);
  tls_verify_request request = {};
  request.chain = slice_of_string(pki->expired->chain_pem);
  request.trust = &trust;
  request.num_trust = 1;
  FailEach(
      [&] {
        Arena arena;
        tls_verify_result result;
        Error error;
        status_t status = tls_chain_verify(&request, arena, &result, &error);
        left = -1;
        EXPECT_FALSE(status_ok(status) && result.ok);
      },
      13);
}

}  // namespace
