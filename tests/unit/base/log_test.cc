#include "server/base/log.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace {

template <typename Write>
std::string LogOf(enum log_format format, enum log_level level, Write write) {
  log_setup(format, level);
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, IsALineTimeLevelAndMessage) {
  std::string line = LogOf(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, [] { LOG_INFO("%s %d", "hello", 7); });
  EXPECT_TRUE(std::regex_match(
      line, std::regex("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z info    hello 7\n")))
      << line;
}

TEST(Log, IsJsonOneObjectALine) {
  std::string line =
      LogOf(LOG_FORMAT_JSON, LOG_LEVEL_INFO, [] { LOG_ERROR("a \"quoted\" back\\slash"); });
  EXPECT_TRUE(std::regex_match(line, std::regex("\\{\"time\":\"[-0-9T:.]+Z\",\"level\":\"error\","
                                                "\"message\":\".*\"\\}\n")))
      << line;
  EXPECT_NE(std::string::npos, line.find("a \\u0022quoted\\u0022 back\\u005cslash")) << line;
}

TEST(Log, DoesJournaldGetPriorities) {
  EXPECT_EQ("<3>x\n<4>x\n<6>x\n<7>x\n", LogOf(LOG_FORMAT_JOURNALD, LOG_LEVEL_DEBUG, [] {
              LOG_ERROR("x");
              LOG_WARNING("x");
              LOG_INFO("x");
              LOG_DEBUG("x");
            }));
}

TEST(Log, IsWhatIsLessImportantThanAskedForLeftOut) {
  EXPECT_EQ("<4>shown\n", LogOf(LOG_FORMAT_JOURNALD, LOG_LEVEL_WARNING, [] {
              LOG_INFO("not shown");
              LOG_WARNING("shown");
            }));
}

TEST(Log, CanNoPeerForgeALine) {
  EXPECT_EQ("<6>a\\x0a<3>forged\\x1b[31m\\x7f\n", LogOf(LOG_FORMAT_JOURNALD, LOG_LEVEL_INFO, [] {
              LOG_INFO("%s", "a\n<3>forged\x1b[31m\x7f");
            }));
}

TEST(Log, IsAVeryLongMessageCutAndStillALine) {
  for (enum log_format format : {LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNALD}) {
    std::string line =
        LogOf(format, LOG_LEVEL_INFO, [] { LOG_INFO("%s", std::string(100000, '\n').c_str()); });
    EXPECT_LT(line.size(), 8192u);
    EXPECT_EQ('\n', line.back());
    EXPECT_EQ(line.size() - 1, line.find('\n'));
  }
}

TEST(Log, IsAReaderThatDoesNotReadNotWaitedFor) {
  int ends[2];
  ASSERT_EQ(0, pipe(ends));
  int before = dup(STDERR_FILENO);
  ASSERT_EQ(STDERR_FILENO, dup2(ends[1], STDERR_FILENO));
  for (int i = 0; i < 1000; i++) {
    LOG_INFO("%s", std::string(1000, 'x').c_str());
  }
  ASSERT_EQ(STDERR_FILENO, dup2(before, STDERR_FILENO));
  close(before);
  close(ends[1]);
  std::string all;
  char buffer[65536];
  for (ssize_t n = 1; n > 0; all.append(buffer, (size_t)n)) {
    n = read(ends[0], buffer, sizeof(buffer));
    n = n < 0 ? 0 : n;
  }
  close(ends[0]);
  EXPECT_GT(all.size(), 4096u);
  EXPECT_EQ('\n', all.back()) << "what was lost was lost whole";
}

TEST(Log, DoLinesOfThreadsNeverMix) {
  std::string lines = LogOf(LOG_FORMAT_JOURNALD, LOG_LEVEL_INFO, [] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
      threads.emplace_back([i] {
        for (int n = 0; n < 100; n++) {
          LOG_INFO("%s", std::string(200, (char)('a' + i)).c_str());
        }
      });
    }
    for (std::thread &thread : threads) {
      thread.join();
    }
  });
  size_t num_lines = 0;
  size_t at = 0;
  for (size_t end = lines.find('\n'); end != std::string::npos; end = lines.find('\n', at)) {
    std::string line = lines.substr(at, end - at);
    EXPECT_EQ("<6>" + std::string(200, line[3]), line);
    num_lines++;
    at = end + 1;
  }
  EXPECT_EQ(400u, num_lines);
}

}  // namespace
