#include "client/load/options.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

class OptionsTest : public ::testing::Test {
 protected:
  enum options_result Read(std::vector<std::string> words) {
    words_ = std::move(words);
    words_.insert(words_.begin(), "tlsagent-load");
    std::vector<char *> argv;
    for (std::string &word : words_) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    char *out = nullptr;
    char *error = nullptr;
    size_t out_len = 0;
    size_t error_len = 0;
    FILE *out_file = open_memstream(&out, &out_len);
    FILE *error_file = open_memstream(&error, &error_len);
    enum options_result result = options_read(static_cast<int>(words_.size()), argv.data(),
                                              out_file, error_file, options_.get());
    fclose(out_file);
    fclose(error_file);
    out_.assign(out, out_len);
    error_.assign(error, error_len);
    free(out);
    free(error);
    return result;
  }
  std::vector<std::string> words_;
  std::string out_;
  std::string error_;
  std::unique_ptr<struct options> options_ = std::make_unique<struct options>();
};

TEST_F(OptionsTest, AreTheDefaultsUsable) {
  ASSERT_EQ(Read({"host:443"}), OPTIONS_RUN) << error_;
  EXPECT_STREQ(options_->target, "host:443");
  EXPECT_EQ(options_->workload, WORKLOAD_HANDSHAKE);
  EXPECT_EQ(options_->connections, 10u);
  EXPECT_EQ(options_->duration_nanos, 10000000000u);
  EXPECT_EQ(options_->count, 0u);
  EXPECT_EQ(options_->rate, 0);
  EXPECT_GE(options_->workers, 1u);
  EXPECT_LE(options_->workers, 10u);
  EXPECT_FALSE(options_->insecure);
}

TEST_F(OptionsTest, IsEverythingTaken) {
  ASSERT_EQ(Read({"-w",
                  "echo",
                  "-c",
                  "200",
                  "--rate=1.5",
                  "-d500ms",
                  "--warmup",
                  "1s",
                  "--ramp",
                  "2s",
                  "--size",
                  "4K",
                  "--workers",
                  "3",
                  "--resume",
                  "25",
                  "--tls-min",
                  "1.2",
                  "--tls-max",
                  "1.3",
                  "--alpn",
                  "h2,http/1.1",
                  "-k",
                  "--no-shutdown",
                  "--reset",
                  "--assert",
                  "errors==0",
                  "--assert",
                  "handshake.p99<20ms",
                  "-H",
                  "A: b",
                  "-q",
                  "[::1]:4443"}),
            OPTIONS_RUN)
      << error_;
  EXPECT_EQ(options_->workload, WORKLOAD_ECHO);
  EXPECT_EQ(options_->connections, 200u);
  EXPECT_EQ(options_->rate, 1.5);
  EXPECT_EQ(options_->duration_nanos, 500000000u);
  EXPECT_EQ(options_->warmup_nanos, 1000000000u);
  EXPECT_EQ(options_->ramp_nanos, 2000000000u);
  EXPECT_EQ(options_->size, 4096u);
  EXPECT_EQ(options_->workers, 3u);
  EXPECT_EQ(options_->resume_percent, 25);
  EXPECT_EQ(options_->tls_min, 0x0303);
  EXPECT_EQ(options_->tls_max, 0x0304);
  EXPECT_TRUE(options_->insecure && options_->no_shutdown && options_->reset && options_->quiet);
  EXPECT_EQ(options_->num_assertions, 2u);
  EXPECT_EQ(options_->num_headers, 1u);
}

TEST_F(OptionsTest, DoesACountAloneHaveNoDuration) {
  ASSERT_EQ(Read({"-n", "7", "-c", "3", "host:1"}), OPTIONS_RUN);
  EXPECT_EQ(options_->count, 7u);
  EXPECT_EQ(options_->duration_nanos, 0u);
  EXPECT_LE(options_->workers, 3u);
}

TEST_F(OptionsTest, IsWhatMakesNoSenseRefusedInASentence) {
  const std::vector<std::vector<std::string>> rows = {
      {},
      {"a:1", "b:2"},
      {"--connections", "0", "a:1"},
      {"-c", "many", "a:1"},
      {"-c"},
      {"--rate", "-1", "a:1"},
      {"--duration", "0s", "a:1"},
      {"--workload", "dance", "a:1"},
      {"--resume", "101", "a:1"},
      {"--tls-min", "1.1", "a:1"},
      {"--tls-min", "1.3", "--tls-max", "1.2", "a:1"},
      {"--assert", "p99", "a:1"},
      {"--ca", "", "a:1"},
      {"--ca", "x", "--insecure", "a:1"},
      {"--key", "x", "a:1"},
      {"--nonsense", "a:1"},
      {"-w", "raw", "a:1"},
      {"-w", "up", "a:1"},
      {"-w", "idle", "-r", "5", "a:1"},
      {"-H", "no colon", "a:1"},
      {"-H", "X: y\rZ: w", "a:1"},
      {"--size", "4G", "a:1"},
      {"--assert", "operation_corrected.p99<1s", "a:1"},
      {"--json", "-", "--csv", "-", "a:1"},
      {"--csv", "x", "--html", "x", "a:1"},
      {"--path", "page", "a:1"},
      {"--path", "/a b", "a:1"},
      {"--path", "/a\rb", "a:1"},
      {"-H", "X: \x1b", "a:1"},
      {"a"},
      {"a:65536"},
      {"unix:"},
      {"-n", "18446744073709551615", "a:1"},
      {"--alpn", ",,", "a:1"},
      {"--alpn", "h2,", "a:1"},
      {"--sni", ",", "a:1"},
      {"--send", "\\q", "a:1"},
  };
  for (const auto &row : rows) {
    EXPECT_EQ(Read(row), OPTIONS_WRONG) << ::testing::PrintToString(row);
    EXPECT_EQ(error_.find("tlsagent-load: "), 0u) << error_;
    EXPECT_EQ(error_.find('\n'), error_.size() - 1) << error_;
    EXPECT_EQ(out_, "");
  }
}

TEST_F(OptionsTest, IsWhatIsWrongWithAnOptionTold) {
  EXPECT_EQ(Read({"--quiet=foo", "a:1"}), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: it takes no value: --quiet=foo; see --help\n");
  EXPECT_EQ(Read({"--c", "a:1"}), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: it could be several options: --c; see --help\n");
  EXPECT_EQ(Read({"--nonsense", "a:1"}), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: no such option: --nonsense; see --help\n");
  EXPECT_EQ(Read({"-kz", "a:1"}), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: no such option: -z; see --help\n");
  EXPECT_EQ(Read({"--assert", "p99", "a:1"}), OPTIONS_WRONG);
  EXPECT_EQ(error_.find("tlsagent-load: --assert p99 makes no sense; --help has: fail unless"), 0u)
      << error_;
}

TEST_F(OptionsTest, AreListsBounded) {
  std::vector<std::string> headers;
  std::vector<std::string> assertions;
  for (int i = 0; i < HEADERS_MAX; i++) {
    headers.insert(headers.end(), {"-H", "A: b"});
  }
  for (int i = 0; i < ASSERTIONS_MAX; i++) {
    assertions.insert(assertions.end(), {"--assert", "errors==0"});
  }
  headers.push_back("a:1");
  assertions.push_back("a:1");
  EXPECT_EQ(Read(headers), OPTIONS_RUN) << error_;
  EXPECT_EQ(Read(assertions), OPTIONS_RUN) << error_;
  headers.insert(headers.begin(), {"-H", "A: b"});
  assertions.insert(assertions.begin(), {"--assert", "errors==0"});
  EXPECT_EQ(Read(headers), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: it is given too often: --header; see --help\n");
  EXPECT_EQ(Read(assertions), OPTIONS_WRONG);
  EXPECT_EQ(error_, "tlsagent-load: it is given too often: --assert; see --help\n");
}

TEST_F(OptionsTest, DoesHelpTellOfEveryOptionAndWorkload) {
  ASSERT_EQ(Read({"--help"}), OPTIONS_SHOWN);
  for (const char *name : {"--workload", "--rate", "--resume", "--json", "--html", "--hdr",
                           "--assert", "--insecure", "--reset", "compare"}) {
    EXPECT_NE(out_.find(name), std::string::npos) << name;
  }
  for (const char *name : WORKLOAD_NAMES) {
    EXPECT_NE(out_.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(Read({"--version"}), OPTIONS_SHOWN);
}

}  // namespace
