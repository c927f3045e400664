#include "server/tls/groups.h"

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(GroupsTest, AreTheUsualOnesThereAndDoSettingsTakeThem) {
  size_t num = 0;
  const char *const *groups = groups_found(&num);
  std::string joined;
  for (size_t i = 0; i < num; i++) {
    joined += (i == 0 ? "" : ":") + std::string(groups[i]);
  }
  EXPECT_EQ(joined, groups_all());
  EXPECT_NE(joined.find("X25519"), std::string::npos);
  EXPECT_NE(joined.find("P-256"), std::string::npos);
  SSL_CTX *ctx = SSL_CTX_new(TLS_method());
  EXPECT_EQ(SSL_CTX_set1_groups_list(ctx, joined.c_str()), 1);
  SSL_CTX_free(ctx);
}

}  // namespace
