#include "server/tls/host.h"

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(HostTest, IsEveryFaultToldApart) {
  EXPECT_EQ(host_fault("example.org"), nullptr);
  EXPECT_EQ(host_fault("::1"), nullptr);
  EXPECT_STREQ(host_fault(""), "cannot be an empty string or start with a leading dot");
  EXPECT_STREQ(host_fault(".example.org"), "cannot be an empty string or start with a leading dot");
  EXPECT_STREQ(host_fault(std::string(256, 'a').c_str()), "longer than 255 bytes");
  EXPECT_EQ(host_fault(std::string(255, 'a').c_str()), nullptr);
  EXPECT_NE(host_fault("b\xc3\xbc"
                       "cher.example"),
            nullptr);
  EXPECT_NE(host_fault("a b"), nullptr);
  EXPECT_NE(host_fault("a\nb"), nullptr);
  EXPECT_NE(host_fault("a\x7f"), nullptr);
}

TEST(HostTest, IsTheDotOfAnAbsoluteNameTakenOff) {
  char host[HOST_MAX + 1];
  host_copy("example.org.", host);
  EXPECT_STREQ(host, "example.org");
  host_copy("example.org", host);
  EXPECT_STREQ(host, "example.org");
  std::string longest(255, 'a');
  host_copy(longest.c_str(), host);
  EXPECT_EQ(host, longest);
}

TEST(HostTest, IsAnAddressToldFromAName) {
  EXPECT_TRUE(host_is_address("127.0.0.1"));
  EXPECT_TRUE(host_is_address("::1"));
  EXPECT_TRUE(host_is_address("2001:db8::1"));
  EXPECT_FALSE(host_is_address("127.0.0.1.example"));
  EXPECT_FALSE(host_is_address("127.0.0.01"));
  EXPECT_FALSE(host_is_address("[::1]"));
  EXPECT_FALSE(host_is_address("example.org"));
}

TEST(HostTest, DoesEachKindExpectItsOwn) {
  X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
  EXPECT_TRUE(host_expect(param, "example.org"));
  EXPECT_TRUE(host_expect(param, "2001:db8::1"));
  char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
  EXPECT_STREQ(address, "2001:DB8:0:0:0:0:0:1");
  OPENSSL_free(address);
  X509_VERIFY_PARAM_free(param);
}

}  // namespace
