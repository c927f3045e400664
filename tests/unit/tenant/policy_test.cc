#include "server/tenant/policy.h"

#include <gtest/gtest.h>

#include <string>

namespace {

bool Allows(const char *pattern, const char *host, uint16_t port) {
  const char *patterns[] = {pattern};
  struct policy policy = {patterns, 1};
  return policy_allows_dial(&policy, host, port);
}

TEST(Policy, AllowsNothingByDefault) {
  struct policy policy = {nullptr, 0};
  EXPECT_FALSE(policy_allows_dial(&policy, "localhost", 443));
}

TEST(Policy, MatchesHostAndPortWhole) {
  EXPECT_TRUE(Allows("example.com:443", "example.com", 443));
  EXPECT_TRUE(Allows("example.com:443", "EXAMPLE.com", 443));
  EXPECT_FALSE(Allows("example.com:443", "example.com", 4433));
  EXPECT_FALSE(Allows("example.com:443", "example.com.evil.test", 443));
  EXPECT_FALSE(Allows("example.com:443", "notexample.com", 443));
}

TEST(Policy, StarsAndQuestionMarksStandForCharacters) {
  EXPECT_TRUE(Allows("*.example.com:443", "www.example.com", 443));
  EXPECT_FALSE(Allows("*.example.com:443", "example.com", 443));
  EXPECT_TRUE(Allows("127.0.0.1:*", "127.0.0.1", 65535));
  EXPECT_TRUE(Allows("host?:1", "host1", 1));
  EXPECT_FALSE(Allows("host?:1", "host", 1));
  EXPECT_TRUE(Allows("*:*", "anything", 1));
}

TEST(Policy, AnAddressInBracketsIsNoCharacterSet) {
  EXPECT_TRUE(Allows("[::1]:*", "::1", 443));
  EXPECT_FALSE(Allows("[::1]:*", ":", 443));
  EXPECT_FALSE(Allows("[::1]:*", "::2", 443));
}

bool AllowsUnix(const char *pattern, const char *path) {
  const char *patterns[] = {pattern};
  struct policy policy = {patterns, 1};
  return policy_allows_unix(&policy, path);
}

TEST(Policy, APathIsAllowedByAPatternOfItsOwn) {
  EXPECT_TRUE(AllowsUnix("unix:/run/app.sock", "/run/app.sock"));
  EXPECT_FALSE(AllowsUnix("unix:/run/app.sock", "/run/app.sock2"));
  EXPECT_FALSE(AllowsUnix("unix:/run/app.sock", "/run/app.soc"));
  EXPECT_TRUE(AllowsUnix("unix:/run/*/s?", "/run/anything/s1"));
  EXPECT_TRUE(AllowsUnix("unix:*", "/anywhere"));
}

TEST(Policy, LetterCaseCountsInPaths) {
  EXPECT_FALSE(AllowsUnix("unix:/run/app.sock", "/run/APP.sock"));
  EXPECT_FALSE(AllowsUnix("UNIX:/run/app.sock", "/run/app.sock"));
}

TEST(Policy, HostsAndPathsAreKeptApart) {
  EXPECT_FALSE(AllowsUnix("*:*", "/run/app.sock"));
  EXPECT_FALSE(AllowsUnix("*", "/run/app.sock"));
  EXPECT_FALSE(AllowsUnix("localhost:443", "/run/app.sock"));
  EXPECT_FALSE(Allows("unix:/run/app.sock", "unix", 443));
  EXPECT_FALSE(AllowsUnix("unix:443", "/443"));
}

TEST(Policy, NoPathIsAllowedByDefault) {
  struct policy policy = {nullptr, 0};
  EXPECT_FALSE(policy_allows_unix(&policy, "/run/app.sock"));
}

TEST(Policy, AHostTooLongForTheNetworkMatchesNothing) {
  EXPECT_FALSE(Allows("*:*", std::string(600, 'a').c_str(), 443));
}

TEST(Policy, APatternNeedsBothParts) {
  EXPECT_TRUE(policy_pattern_valid("a:1"));
  EXPECT_TRUE(policy_pattern_valid("[::1]:443"));
  EXPECT_TRUE(policy_pattern_valid("unix:/run/app.sock"));
  EXPECT_FALSE(policy_pattern_valid("unix:"));
  EXPECT_FALSE(policy_pattern_valid("a"));
  EXPECT_FALSE(policy_pattern_valid(":1"));
  EXPECT_FALSE(policy_pattern_valid("a:"));
  EXPECT_FALSE(policy_pattern_valid("[::1]"));
}

}  // namespace
