#include "client/load/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>

namespace {

class TargetTest : public ::testing::Test {
 protected:
  bool Parse(const std::string &text) {
    text_ = text;
    why_[0] = '\0';
    return target_parse(text_.c_str(), target_.get(), why_, sizeof(why_)) &&
           target_resolve(target_.get(), why_, sizeof(why_));
  }
  std::string text_;
  char why_[256];
  std::unique_ptr<struct target> target_ = std::make_unique<struct target>();
};

TEST_F(TargetTest, AreHostsAndPortsTakenApart) {
  ASSERT_TRUE(Parse("127.0.0.1:443")) << why_;
  EXPECT_STREQ(target_->host, "127.0.0.1");
  EXPECT_TRUE(target_->is_address);
  EXPECT_TRUE(target_->is_loopback);
  ASSERT_TRUE(Parse("[::1]:8443")) << why_;
  EXPECT_STREQ(target_->host, "::1");
  EXPECT_TRUE(target_->is_address);
  EXPECT_FALSE(target_->is_loopback);
  ASSERT_TRUE(Parse("192.0.2.1:1")) << why_;
  EXPECT_FALSE(target_->is_loopback);
  ASSERT_TRUE(Parse("unix:/run/some.sock")) << why_;
  EXPECT_STREQ(target_->host, "");
  EXPECT_EQ(target_->num_addresses, 1u);
}

TEST_F(TargetTest, IsNonsenseRefusedInASentence) {
  for (const char *text :
       {"", "host", ":443", "host:", "[::1]", "[::1:443", "::1:443", "unix:", "host:99999999",
        "127.0.0.1:65536", "127.0.0.1:66001", "127.0.0.1:0", "127.0.0.1:+66001", "127.0.0.1:-1",
        "[::1]:65979", "127.0.0.1:99999999999999999999999", "127.0.0.1:no-such-service",
        "no.such.name.invalid:443"}) {
    EXPECT_FALSE(Parse(text)) << text;
    EXPECT_NE(std::string(why_), "") << text;
  }
  EXPECT_FALSE(Parse("unix:/" + std::string(200, 'x')));
  EXPECT_FALSE(Parse(std::string(300, 'h') + ":1"));
}

// One address has some 28,000 ports: connections to the loopback come from many.
TEST_F(TargetTest, DoLoopbackConnectionsComeFromManyAddresses) {
  ASSERT_TRUE(Parse("127.0.0.1:9"));
  std::set<uint32_t> sources;
  for (uint64_t n = 0; n < 500; n++) {
    int fd = -1;
    ASSERT_EQ(target_socket(target_.get(), 0, n, &fd), 0);
    sockaddr_in source = {};
    socklen_t len = sizeof(source);
    ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr *>(&source), &len), 0);
    EXPECT_EQ(source.sin_port, 0);
    EXPECT_EQ(ntohl(source.sin_addr.s_addr) >> 24, 127u);
    sources.insert(source.sin_addr.s_addr);
    close(fd);
  }
  EXPECT_GE(sources.size(), 100u);
}

}  // namespace
