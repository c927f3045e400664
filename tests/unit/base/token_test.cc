#include "server/base/token.h"

#include <gtest/gtest.h>

#include <cstring>

namespace {

TEST(Token, IsEachAnotherOne) {
  uint8_t one[TOKEN_BYTES] = {};
  uint8_t other[TOKEN_BYTES] = {};
  ASSERT_TRUE(status_ok(token_make(one)));
  ASSERT_TRUE(status_ok(token_make(other)));
  EXPECT_NE(0, memcmp(one, other, TOKEN_BYTES));
  EXPECT_TRUE(token_equal(one, slice_of(one, TOKEN_BYTES)));
  EXPECT_FALSE(token_equal(one, slice_of(other, TOKEN_BYTES)));
}

TEST(Token, DoesEveryBitCount) {
  uint8_t token[TOKEN_BYTES] = {};
  ASSERT_TRUE(status_ok(token_make(token)));
  for (size_t bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
    uint8_t guess[TOKEN_BYTES];
    memcpy(guess, token, TOKEN_BYTES);
    guess[bit / 8] ^= (uint8_t)(1 << bit % 8);
    EXPECT_FALSE(token_equal(token, slice_of(guess, TOKEN_BYTES))) << bit;
  }
}

TEST(Token, IsAGuessOfAnotherLengthNone) {
  uint8_t token[TOKEN_BYTES + 1] = {};
  EXPECT_FALSE(token_equal(token, slice_of(token, 0)));
  EXPECT_FALSE(token_equal(token, slice_of(token, TOKEN_BYTES - 1)));
  EXPECT_FALSE(token_equal(token, slice_of(token, TOKEN_BYTES + 1)));
}

}  // namespace
