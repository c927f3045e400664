// Does an error say what happened, and to whom?

#include "client/c/error.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <string>

namespace {

TEST(Error, HasEveryNumberAName) {
  EXPECT_STREQ(tlsagent_fault_name(TLSAGENT_FAULT_MEMORY), "memory");
  EXPECT_STREQ(tlsagent_rpc_code_name(TLSAGENT_RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_STREQ(tlsagent_error_kind_name(TLSAGENT_ERROR_RESOLVE), "resolve");
  EXPECT_STREQ(tlsagent_state_name(TLSAGENT_STATE_FAILED), "failed");
  EXPECT_STREQ(tlsagent_state_name(static_cast<tlsagent_state>(99)), "unknown");
  EXPECT_STREQ(tlsagent_rpc_code_name(static_cast<tlsagent_rpc_code>(-1)), "unknown");
}

TEST(Error, MayNobodyWantIt) {
  EXPECT_FALSE(tla_fail(nullptr, TLSAGENT_FAULT_USAGE, "x"));
  EXPECT_FALSE(tla_fail_errno(nullptr, TLSAGENT_FAULT_LOST, EPIPE, "x"));
  EXPECT_FALSE(tla_fail_rpc(nullptr, "Ping", 5, ""));
  EXPECT_FALSE(tla_fail_memory(nullptr));
  EXPECT_TRUE(tla_succeed(nullptr));
  const tlsagent_tls_error tls = {};
  EXPECT_FALSE(tla_fail_tls(nullptr, "Read", &tls));
}

TEST(Error, DoesItSayWhatTheSystemSaid) {
  tlsagent_error error;
  tla_fail_errno(&error, TLSAGENT_FAULT_LOST, EPIPE, "sending %d failed", 7);
  EXPECT_STREQ(error.message, "sending 7 failed: Broken pipe");
  EXPECT_EQ(error.os_errno, EPIPE);
}

TEST(Error, IsALateCallADeadlineAndAnyOtherARefusal) {
  tlsagent_error error;
  tla_fail_rpc(&error, "Read", TLSAGENT_RPC_DEADLINE_EXCEEDED, "");
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_DEADLINE);
  EXPECT_STREQ(error.message, "tlsagentd refused Read: DEADLINE_EXCEEDED");
  tla_fail_rpc(&error, "Read", TLSAGENT_RPC_NOT_FOUND, "no such session");
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_REFUSED);
  EXPECT_EQ(error.rpc_code, TLSAGENT_RPC_NOT_FOUND);
  EXPECT_STREQ(error.message, "tlsagentd refused Read: NOT_FOUND: no such session");
}

TEST(Error, DoesAFailureOfTlsSayTheMostTellingThing) {
  tlsagent_error error;
  tlsagent_tls_error tls = {};
  tls.kind = TLSAGENT_ERROR_VERIFY;
  snprintf(tls.text, sizeof(tls.text), "certificate verify failed");
  snprintf(tls.verify_message, sizeof(tls.verify_message), "certificate has expired");
  tla_fail_tls(&error, "Connect", &tls);
  EXPECT_STREQ(error.message, "Connect: certificate verification failed: certificate has expired");
  EXPECT_EQ(error.tls.kind, TLSAGENT_ERROR_VERIFY);
  tls = {};
  tls.kind = TLSAGENT_ERROR_INVALID;
  snprintf(tls.item, sizeof(tls.item), "pairs[1].key");
  snprintf(tls.text, sizeof(tls.text), "wrong password");
  tla_fail_tls(&error, "Create", &tls);
  EXPECT_STREQ(error.message, "Create: pairs[1].key: wrong password");
  snprintf(tls.text, sizeof(tls.text), "PEM lib");
  snprintf(tls.detail, sizeof(tls.detail), "wrong password");
  tla_fail_tls(&error, "Create", &tls);
  EXPECT_STREQ(error.message, "Create: pairs[1].key: wrong password");
  tls = {};
  tls.kind = TLSAGENT_ERROR_TRUNCATED;
  tla_fail_tls(&error, "Read", &tls);
  EXPECT_NE(strstr(error.message, "close_notify"), nullptr);
}

TEST(Error, IsAnEndlessMessageCut) {
  tlsagent_error error;
  const std::string text(5000, 'x');
  tla_fail_rpc(&error, "Read", TLSAGENT_RPC_INTERNAL, text.c_str());
  EXPECT_EQ(strlen(error.message), sizeof(error.message) - 1);
}

}  // namespace
