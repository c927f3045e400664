// Does every failure have an exit code that scripts take for one?

#include <gtest/gtest.h>

#include <string>

extern "C" {
#include "client/cli/files.h"
}

namespace {

tlsagent_error Error(tlsagent_fault fault, tlsagent_error_kind kind = TLSAGENT_ERROR_UNSPECIFIED) {
  tlsagent_error error = {};
  error.fault = fault;
  error.tls.kind = kind;
  snprintf(error.message, sizeof(error.message), "what happened");
  return error;
}

TEST(ExitCode, IsAFailureNeverSuccess) {
  const cli cli = {};
  for (int fault = TLSAGENT_FAULT_NONE; fault <= TLSAGENT_FAULT_MEMORY; fault++) {
    const tlsagent_error error = Error(static_cast<tlsagent_fault>(fault));
    testing::internal::CaptureStderr();
    EXPECT_NE(complain_error(&cli, &error), EXIT_OK) << fault;
    EXPECT_NE(complain_file(&cli, &error), EXIT_OK) << fault;
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "tlsagent: what happened\ntlsagent: what happened\n");
    EXPECT_NE(exit_code_of(&error), EXIT_OK) << fault;
  }
}

TEST(ExitCode, DoesItSayWhatFailed) {
  const auto of = [](tlsagent_fault fault, tlsagent_error_kind kind) {
    const tlsagent_error error = Error(fault, kind);
    return exit_code_of(&error);
  };
  EXPECT_EQ(of(TLSAGENT_FAULT_LOST, TLSAGENT_ERROR_UNSPECIFIED), EXIT_NO_DAEMON);
  EXPECT_EQ(of(TLSAGENT_FAULT_TLS, TLSAGENT_ERROR_TLS), EXIT_TLS);
  EXPECT_EQ(of(TLSAGENT_FAULT_TLS, TLSAGENT_ERROR_VERIFY), EXIT_VERIFY);
  EXPECT_EQ(of(TLSAGENT_FAULT_TLS, TLSAGENT_ERROR_TRUNCATED), EXIT_TRUNCATED);
  EXPECT_EQ(of(TLSAGENT_FAULT_TLS, TLSAGENT_ERROR_TIMEOUT), EXIT_TIMEOUT);
}

TEST(ExitCode, IsAFileThatHoldsSomethingElseAFileThatFailed) {
  const cli cli = {};
  const tlsagent_error error = Error(TLSAGENT_FAULT_TLS, TLSAGENT_ERROR_TLS);
  testing::internal::CaptureStderr();
  EXPECT_EQ(complain_file(&cli, &error), EXIT_IO);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "tlsagent: what happened\n");
}

}  // namespace
