#include "server/tls/bio.h"

#include <gtest/gtest.h>

#include <string>

namespace {

class BioTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bytes_init(&output_, 10);
    pipe_.output = &output_;
    bio_ = pipe_bio_new(&pipe_);
    ASSERT_NE(bio_, nullptr);
  }
  void TearDown() override {
    BIO_free(bio_);
    bytes_cleanup(&output_);
  }
  void Show(const std::string &input, bool eof = false) {
    pipe_.input = slice_of(input.data(), input.size());
    pipe_.eof = eof;
  }

  struct bytes output_ = {};
  struct pipe pipe_ = {};
  BIO *bio_ = nullptr;
  char buffer_[16] = {};
};

TEST_F(BioTest, DoesReadTakeNoMoreThanAskedFor) {
  std::string input = "abcdef";
  Show(input);
  EXPECT_EQ(BIO_read(bio_, buffer_, 4), 4);
  EXPECT_EQ(std::string(buffer_, 4), "abcd");
  EXPECT_EQ(pipe_.input.len, 2u);
  EXPECT_EQ(BIO_pending(bio_), 2);
  EXPECT_EQ(BIO_read(bio_, buffer_, 16), 2);
  EXPECT_EQ(pipe_.input.len, 0u);
}

TEST_F(BioTest, DoesAnEmptyInputAskToRetry) {
  Show("");
  EXPECT_LE(BIO_read(bio_, buffer_, 16), 0);
  EXPECT_TRUE(BIO_should_retry(bio_));
  EXPECT_TRUE(BIO_should_read(bio_));
  EXPECT_FALSE(BIO_eof(bio_));
}

TEST_F(BioTest, IsTheEndOnlyAfterTheLastByte) {
  std::string input = "x";
  Show(input, true);
  EXPECT_FALSE(BIO_eof(bio_));
  EXPECT_EQ(BIO_read(bio_, buffer_, 16), 1);
  EXPECT_TRUE(BIO_eof(bio_));
  EXPECT_LE(BIO_read(bio_, buffer_, 16), 0);
  EXPECT_FALSE(BIO_should_retry(bio_));
}

TEST_F(BioTest, DoesWriteStopAtTheCeilingAndAskToRetry) {
  EXPECT_EQ(BIO_write(bio_, "12345678", 8), 8);
  EXPECT_EQ(BIO_write(bio_, "abcd", 4), 2);
  EXPECT_EQ(BIO_wpending(bio_), 10);
  EXPECT_LE(BIO_write(bio_, "cd", 2), 0);
  EXPECT_TRUE(BIO_should_retry(bio_));
  EXPECT_TRUE(BIO_should_write(bio_));
  bytes_consume(&output_, 10);
  EXPECT_EQ(BIO_write(bio_, "cd", 2), 2);
}

TEST_F(BioTest, IsWhatItDoesNotKnowAnsweredWithNo) {
  EXPECT_EQ(BIO_flush(bio_), 1);
  for (int command = 0; command < 256; command++) {
    bool known = command == BIO_CTRL_FLUSH || command == BIO_CTRL_PENDING ||
                 command == BIO_CTRL_WPENDING || command == BIO_CTRL_EOF;
    if (!known) {
      EXPECT_EQ(BIO_ctrl(bio_, command, 0, nullptr), 0) << command;
    }
  }
}

}  // namespace
