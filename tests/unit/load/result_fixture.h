// A result as a run leaves it, for reports and assertions.
#ifndef TLSAGENT_TESTS_UNIT_LOAD_RESULT_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_LOAD_RESULT_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "client/load/result.h"

class ResultTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // Handshakes of 1 to 100 ms, ten seconds of them, and three errors.
  void Fill();
  // What was written to a stream.
  std::string Written(const std::function<void(FILE *)> &write);
  std::unique_ptr<struct options> options_{new struct options()};
  std::unique_ptr<struct result> result_{new struct result()};
};

#endif  // TLSAGENT_TESTS_UNIT_LOAD_RESULT_FIXTURE_H_
