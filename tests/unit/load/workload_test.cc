#include "client/load/workload.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace {

class ScriptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char why[128];
    ASSERT_TRUE(target_parse("127.0.0.1:443", target_.get(), why, sizeof(why))) << why;
    options_->path = "/";
  }
  std::string Request() {
    struct script script;
    EXPECT_TRUE(script_init(&script, options_.get(), target_.get()));
    std::string made(reinterpret_cast<const char *>(script.request.data), script.request.len);
    script_cleanup(&script);
    return made;
  }
  std::string Raw(const char *text) {
    options_->workload = WORKLOAD_RAW;
    options_->send = text;
    EXPECT_TRUE(script_takes(text)) << text;
    return Request();
  }
  std::unique_ptr<struct options> options_ = std::make_unique<struct options>();
  std::unique_ptr<struct target> target_ = std::make_unique<struct target>();
};

TEST_F(ScriptTest, AreEscapesResolved) {
  EXPECT_EQ(Raw("PING\\r\\n"), "PING\r\n");
  EXPECT_EQ(Raw("\\x00\\xff\\\\\\t\\'\\\""), std::string("\x00\xff\\\t'\"", 6));
  EXPECT_EQ(Raw("\\0"), std::string(1, '\0'));
  EXPECT_EQ(Raw(""), "");
}

TEST_F(ScriptTest, IsAnEscapeThatMakesNoSenseRefused) {
  for (const char *text : {"\\", "\\q", "\\x", "\\x1", "\\xg0", "end\\"}) {
    EXPECT_FALSE(script_takes(text)) << text;
  }
}

TEST_F(ScriptTest, IsARequestWhole) {
  options_->workload = WORKLOAD_HTTP;
  options_->path = "/a?b";
  options_->headers[0] = "X-One: 1";
  options_->num_headers = 1;
  std::string request = Request();
  EXPECT_EQ(request.find("GET /a?b HTTP/1.1\r\nX-One: 1\r\nHost: 127.0.0.1\r\n"), 0u) << request;
  EXPECT_EQ(request.substr(request.size() - 4), "\r\n\r\n");
}

TEST_F(ScriptTest, IsTheHostTheUsersIfGiven) {
  options_->workload = WORKLOAD_HTTP;
  options_->headers[0] = "host: other.test";
  options_->num_headers = 1;
  std::string request = Request();
  EXPECT_NE(request.find("host: other.test\r\n"), std::string::npos);
  EXPECT_EQ(request.find("Host: "), std::string::npos) << request;
}

TEST_F(ScriptTest, IsTheHostOfASocketTheFirstName) {
  char why[128];
  ASSERT_TRUE(target_parse("unix:/a", target_.get(), why, sizeof(why))) << why;
  options_->workload = WORKLOAD_HTTP;
  EXPECT_NE(Request().find("\r\nHost: localhost\r\n"), std::string::npos);
  options_->sni = "one.test,two.test";
  EXPECT_NE(Request().find("\r\nHost: one.test\r\n"), std::string::npos) << Request();
}

TEST_F(ScriptTest, DoWorkloadsHaveAllTheyNeed) {
  for (const struct workload &workload : WORKLOADS) {
    EXPECT_NE(workload.begin, nullptr);
    EXPECT_NE(workload.on_read, nullptr);
    EXPECT_NE(workload.on_written, nullptr);
    EXPECT_NE(workload.on_end, nullptr);
  }
}

}  // namespace
