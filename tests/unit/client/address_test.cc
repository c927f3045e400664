// Where does the library look for the daemon?

#include "client/c/address.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>

namespace {

tla_address Parse(const char *text) {
  tla_address address;
  tlsagent_error error;
  EXPECT_TRUE(tla_address_parse(&address, text, &error)) << error.message;
  return address;
}

TEST(Address, IsAPathAPath) {
  for (const char *text : {"unix:/run/x.sock", "/run/x.sock"}) {
    const tla_address address = Parse(text);
    EXPECT_EQ(address.socket.sun_family, AF_UNIX);
    EXPECT_STREQ(address.socket.sun_path, "/run/x.sock");
    EXPECT_EQ(address.len, offsetof(struct sockaddr_un, sun_path) + sizeof("/run/x.sock"));
    EXPECT_STREQ(address.text, "unix:/run/x.sock");
  }
}

TEST(Address, IsANameWithAnAtAbstract) {
  for (const char *text : {"unix:@name", "@name"}) {
    const tla_address address = Parse(text);
    EXPECT_EQ(memcmp(address.socket.sun_path, "\0name", 5), 0);
    EXPECT_EQ(address.len, offsetof(struct sockaddr_un, sun_path) + 5);
    EXPECT_STREQ(address.text, "unix:@name");
  }
}

TEST(Address, DoesTheEnvironmentSayWhere) {
  setenv("TLSAGENT_SOCKET", "unix:/there", 1);
  EXPECT_STREQ(Parse(nullptr).text, "unix:/there");
  EXPECT_STREQ(Parse("/elsewhere").text, "unix:/elsewhere") << "the argument goes first";
  unsetenv("TLSAGENT_SOCKET");
}

TEST(Address, IsTheDefaultTheUsersOrRoots) {
  unsetenv("TLSAGENT_SOCKET");
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_STREQ(Parse(nullptr).text,
               geteuid() == 0 ? "unix:/run/tlsagent.sock" : "unix:/run/user/7/tlsagent.sock");
  unsetenv("XDG_RUNTIME_DIR");
}

TEST(Address, DoesTheLongestPathFitAndNoLonger) {
  const std::string longest(107, 'a');
  EXPECT_STREQ(Parse(longest.c_str()).socket.sun_path, longest.c_str());
  EXPECT_EQ(std::string(Parse(longest.c_str()).text), "unix:" + longest);
  tla_address address;
  tlsagent_error error;
  EXPECT_FALSE(tla_address_parse(&address, (longest + "a").c_str(), &error));
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_NE(strstr(error.message, "108 bytes"), nullptr) << error.message;
}

TEST(Address, IsAnEmptyAddressRefused) {
  tla_address address;
  tlsagent_error error;
  for (const char *text : {"", "unix:", "@", "unix:@"}) {
    EXPECT_FALSE(tla_address_parse(&address, text, &error)) << text;
    EXPECT_EQ(error.fault, TLSAGENT_FAULT_USAGE);
  }
}

}  // namespace
