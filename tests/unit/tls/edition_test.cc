#include "server/tls/edition.h"

#include "tests/unit/tls/harness.h"

namespace {

class EditionTest : public TlsTest {
 protected:
  // The edition that follows base; nullptr when it is refused.
  edition *Make(const edition *base, Change &change) {
    edition *made = nullptr;
    tls_error_clear(&error_);
    status_t status = edition_new(TLS_CONTEXT_SERVER, base, change.get(), &made, &error_);
    EXPECT_EQ(status_ok(status), made != nullptr) << error_.text;
    return made;
  }
  tls_error error_;
};

TEST_F(EditionTest, DoesTheNextOneInheritEverything) {
  Change first_change = ServerChange();
  first_change.Ciphers("ECDHE-ECDSA-AES128-GCM-SHA256").Trust(pki_get()->root->pem).Alpn({"h2"});
  edition *first = Make(nullptr, first_change);
  ASSERT_NE(first, nullptr);
  Change second_change;
  second_change.Set(TLS_SET_NUM_TICKETS).num_tickets = 5;
  edition *second = Make(first, second_change);
  ASSERT_NE(second, nullptr);
  edition_free(first);
  EXPECT_STREQ(second->settings.ciphers, "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(second->settings.num_tickets, 5u);
  EXPECT_EQ(second->num_pairs, 1u);
  EXPECT_EQ(String(second->alpn), "\x02h2");
  EXPECT_EQ(trust_set_counts(second->trust).certificates, 1u);
  edition_free(second);
}

TEST_F(EditionTest, DoTicketsStayGoodUnlessVerificationChanges) {
  Change first_change = ServerChange();
  edition *first = Make(nullptr, first_change);
  Change tickets;
  tickets.Set(TLS_SET_NUM_TICKETS).num_tickets = 1;
  edition *same = Make(first, tickets);
  ASSERT_NE(first->ticket_keys, nullptr);
  EXPECT_EQ(first->ticket_keys, same->ticket_keys);
  Change verify;
  verify.Verify(TLS_VERIFY_REQUIRED);
  edition *stricter = Make(same, verify);
  EXPECT_NE(same->ticket_keys, stricter->ticket_keys);
  Change trust;
  trust.Trust(pki_get()->root->pem);
  edition *trusting = Make(stricter, trust);
  EXPECT_NE(stricter->ticket_keys, trusting->ticket_keys);
  for (edition *each : {first, same, stricter, trusting}) {
    edition_free(each);
  }
}

// What a peer got a ticket under may have been less than what is asked for now.
TEST_F(EditionTest, DoTicketsEndWithEachChangeOfWhatVerifies) {
  Change changes[4];
  changes[0].Set(TLS_SET_VERIFY_DEPTH).verify_depth = 0;
  changes[1].Set(TLS_SET_SECURITY_LEVEL).security_level = 3;
  changes[2].Set(TLS_SET_SIGALGS).sigalgs = "ECDSA+SHA256";
  changes[3].Set(TLS_SET_CLIENT_SIGALGS).client_sigalgs = "ECDSA+SHA256";
  Change first_change = ServerChange();
  edition *first = Make(nullptr, first_change);
  for (Change &change : changes) {
    edition *next = Make(first, change);
    ASSERT_NE(next, nullptr);
    EXPECT_NE(first->ticket_keys, next->ticket_keys);
    edition_free(next);
  }
  edition_free(first);
}

static void CountGiven(void *count) {
  ++*static_cast<int *>(count);
}

TEST_F(EditionTest, IsItsChargeGivenBackWithIt) {
  int given = 0;
  Change change = ServerChange();
  tls_context_change charged = *change.get();
  charged.charge = {CountGiven, &given};
  edition *made = nullptr;
  ASSERT_EQ(edition_new(TLS_CONTEXT_SERVER, nullptr, &charged, &made, &error_).code, STATUS_OK);
  EXPECT_EQ(given, 0);
  edition_free(made);
  EXPECT_EQ(given, 1);
}

TEST_F(EditionTest, DoesTheChargeOfOneThatIsRefusedStayTheCallers) {
  int given = 0;
  Change change;
  change.Ciphers("NO-SUCH-CIPHER");
  tls_context_change charged = *change.get();
  charged.charge = {CountGiven, &given};
  edition *made = nullptr;
  EXPECT_EQ(edition_new(TLS_CONTEXT_SERVER, nullptr, &charged, &made, &error_).code,
            STATUS_INVALID_ARGUMENT);
  EXPECT_EQ(given, 0);
}

TEST_F(EditionTest, DoesItsCountBeginAtNothing) {
  Change change = ServerChange();
  edition *made = Make(nullptr, change);
  EXPECT_GT(made->before.accept, 0);
  tls_session_stats stats = edition_stats(made);
  EXPECT_EQ(stats.accept, 0);
  EXPECT_EQ(stats.accept_good, 0);
  tls_session_stats sum = stats;
  stats.hits = 3;
  stats.cache_full = 4;
  session_stats_add(&sum, &stats);
  session_stats_add(&sum, &stats);
  EXPECT_EQ(sum.hits, 6);
  EXPECT_EQ(sum.cache_full, 8);
  edition_free(made);
  edition_free(nullptr);
}

TEST_F(EditionTest, IsThereABoundOnPairs) {
  Change change;
  for (int i = 0; i < EDITION_PAIRS_MAX + 1; i++) {
    change.Pair(pki_get()->server);
  }
  EXPECT_EQ(Make(nullptr, change), nullptr);
  EXPECT_STREQ(error_.item, "pairs");
}

}  // namespace
