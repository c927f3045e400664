#include "client/load/tally.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace {

class TallyTest : public ::testing::Test {
 protected:
  std::unique_ptr<struct tally> tally_ = std::make_unique<struct tally>();
};

TEST_F(TallyTest, IsTheSameReasonOneRow) {
  tally_note(tally_.get(), PHASE_CONNECT, "refused", "nobody there");
  tally_note(tally_.get(), PHASE_CONNECT, "refused", "nobody there");
  tally_note(tally_.get(), PHASE_HANDSHAKE, "refused", "nobody there");
  ASSERT_EQ(tally_->num_rows, 2u);
  EXPECT_EQ(tally_->rows[0].count, 2u);
  EXPECT_EQ(tally_->total, 3u);
}

TEST_F(TallyTest, AreErrnosNamedByKind) {
  tally_note_os(tally_.get(), PHASE_CONNECT, ECONNREFUSED);
  tally_note_os(tally_.get(), PHASE_CONNECT, EADDRNOTAVAIL);
  EXPECT_STREQ(tally_->rows[0].kind, "refused");
  EXPECT_STREQ(tally_->rows[0].reason, "Connection refused");
  EXPECT_STREQ(tally_->rows[1].kind, "local");
}

TEST_F(TallyTest, IsTheReasonOfTlsKept) {
  tls_error error;
  tls_error_clear(&error);
  error.kind = TLS_ERROR_TLS;
  snprintf(error.text, sizeof(error.text), "sslv3 alert handshake failure");
  snprintf(error.reason, sizeof(error.reason), "SSLV3_ALERT_HANDSHAKE_FAILURE");
  tally_note_tls(tally_.get(), PHASE_HANDSHAKE, &error);
  error.kind = TLS_ERROR_VERIFY;
  snprintf(error.verify_message, sizeof(error.verify_message), "self-signed certificate");
  tally_note_tls(tally_.get(), PHASE_HANDSHAKE, &error);
  tls_error_os(&error, ECONNRESET, "receive");
  tally_note_tls(tally_.get(), PHASE_TRANSFER, &error);
  EXPECT_STREQ(tally_->rows[0].kind, "tls");
  EXPECT_STREQ(tally_->rows[0].reason,
               "sslv3 alert handshake failure (SSLV3_ALERT_HANDSHAKE_FAILURE)");
  EXPECT_STREQ(tally_->rows[1].kind, "verify");
  EXPECT_EQ(std::string(tally_->rows[1].reason).find("self-signed certificate"), 0u);
  EXPECT_STREQ(tally_->rows[2].kind, "reset");
}

TEST_F(TallyTest, IsNoTerminalToldWhatToDoByAPeer) {
  tally_note(tally_.get(), PHASE_CONNECT, "tls", "\033[2Jgone\n\xff");
  EXPECT_STREQ(tally_->rows[0].reason, "?[2Jgone??");
}

TEST_F(TallyTest, DoMoreReasonsThanRowsCountAsOthers) {
  for (int i = 0; i < 1000; i++) {
    tally_note(tally_.get(), PHASE_TRANSFER, "http", std::to_string(i).c_str());
  }
  EXPECT_EQ(tally_->num_rows, static_cast<size_t>(TALLY_ROWS_MAX));
  EXPECT_EQ(tally_->total, 1000u);
  EXPECT_STREQ(tally_->rows[TALLY_ROWS_MAX - 1].kind, "other");
  EXPECT_EQ(tally_->rows[TALLY_ROWS_MAX - 1].count, 1000u - (TALLY_ROWS_MAX - 1));
}

TEST_F(TallyTest, DoTalliesAddUpAndSort) {
  auto other = std::make_unique<struct tally>();
  tally_note(tally_.get(), PHASE_CONNECT, "a", "one");
  tally_note(other.get(), PHASE_CONNECT, "a", "one");
  tally_note(other.get(), PHASE_CONNECT, "b", "two");
  tally_note(other.get(), PHASE_CONNECT, "b", "two");
  tally_note(other.get(), PHASE_CONNECT, "b", "two");
  tally_add(tally_.get(), other.get());
  tally_sort(tally_.get());
  EXPECT_EQ(tally_->total, 5u);
  EXPECT_STREQ(tally_->rows[0].kind, "b");
  EXPECT_EQ(tally_->rows[0].count, 3u);
  EXPECT_EQ(tally_->rows[1].count, 2u);
}

}  // namespace
