// Is HOST:PORT understood in all its forms?

#include <gtest/gtest.h>

#include <string>

extern "C" {
#include "client/cli/net.h"
}

namespace {

std::string Parse(const char *text, const char *default_port = "443") {
  struct endpoint endpoint;
  return parse_endpoint(&endpoint, text, default_port)
             ? std::string(endpoint.host) + " " + endpoint.port
             : "no";
}

TEST(Net, AreNamesAndAddressesTakenApart) {
  EXPECT_EQ(Parse("example.org:8443"), "example.org 8443");
  EXPECT_EQ(Parse("example.org"), "example.org 443");
  EXPECT_EQ(Parse("127.0.0.1:1"), "127.0.0.1 1");
  EXPECT_EQ(Parse("[::1]:8443"), "::1 8443");
  EXPECT_EQ(Parse("[::1]"), "::1 443");
  EXPECT_EQ(Parse("::1"), "::1 443");
  EXPECT_EQ(Parse(":8443"), " 8443");
  EXPECT_EQ(Parse("host:imaps"), "host imaps");
}

TEST(Net, IsNonsenseRefused) {
  EXPECT_EQ(Parse("example.org:"), "no");
  EXPECT_EQ(Parse("[::1"), "no");
  EXPECT_EQ(Parse("[::1]x"), "no");
  EXPECT_EQ(Parse("example.org", nullptr), "no");
  EXPECT_EQ(Parse("host:65536", nullptr), "no");
  EXPECT_EQ(Parse((std::string(300, 'a') + ":1").c_str()), "no");
  EXPECT_EQ(Parse(("a:" + std::string(40, '1')).c_str()), "no");
}

TEST(Net, IsAnAddressToldFromAName) {
  EXPECT_TRUE(is_address("127.0.0.1"));
  EXPECT_TRUE(is_address("::1"));
  EXPECT_FALSE(is_address("localhost"));
}

TEST(Net, HasAServiceItsPort) {
  struct endpoint endpoint;
  ASSERT_TRUE(parse_endpoint(&endpoint, "host:https", nullptr));
  EXPECT_EQ(endpoint_port(&endpoint), 443U);
  ASSERT_TRUE(parse_endpoint(&endpoint, "host:nosuchservice", nullptr));
  EXPECT_EQ(endpoint_port(&endpoint), 0U);
}

}  // namespace
