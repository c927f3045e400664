#include "client/load/compare.h"

#include <jansson.h>

#include <cstdlib>
#include <fstream>

#include "client/load/report.h"
#include "tests/unit/load/result_fixture.h"

namespace {

class CompareTest : public ResultTest {
 protected:
  std::string Path(const std::string &name) {
    return std::string(getenv("TEST_TMPDIR")) + "/" + name;
  }
  // A report whose seconds have about that rate and median.
  std::string Report(const std::string &name, double rate, double p50_nanos) {
    for (size_t i = 0; i < result_->num_samples; i++) {
      struct sample *sample = &result_->samples[i];
      sample->counts.operations = static_cast<uint64_t>(rate) + i % 3;
      sample->phases[PHASE_HANDSHAKE] = {1, p50_nanos + static_cast<double>(i % 4) * 1000,
                                         2 * p50_nanos, 3 * p50_nanos, 4 * p50_nanos};
    }
    struct histogram *handshakes = &result_->stats.phases[PHASE_HANDSHAKE];
    histogram_reset(handshakes);
    histogram_record(handshakes, static_cast<uint64_t>(p50_nanos));
    result_->stats.counts.operations = static_cast<uint64_t>(rate * 10);
    std::string text = Written([&](FILE *out) { report_json(result_.get(), out); });
    std::ofstream(Path(name)) << text;
    return Path(name);
  }
  bool Compare(const std::string &a, const std::string &b) {
    bool good = false;
    std::string error;
    said_ = Written([&](FILE *out) {
      error =
          Written([&](FILE *errors) { good = compare_files(a.c_str(), b.c_str(), out, errors); });
    });
    EXPECT_EQ(good, error.empty()) << error;
    said_ += error;
    return good;
  }
  // The line of what was said that begins with this.
  std::string Line(const std::string &name) {
    size_t at = said_.find("  " + name + " ");
    return at == std::string::npos ? "" : said_.substr(at, said_.find('\n', at) - at);
  }
  std::string said_;
};

TEST_F(CompareTest, IsTheSameWithinNoise) {
  Fill();
  ASSERT_TRUE(Compare(Report("a", 100, 5e6), Report("b", 100, 5e6))) << said_;
  EXPECT_NE(Line("operations a second").find("within noise"), std::string::npos) << said_;
  EXPECT_EQ(said_.find("more than noise"), std::string::npos) << said_;
  EXPECT_EQ(said_.find("differs"), std::string::npos) << said_;
}

TEST_F(CompareTest, IsAChangeToldAndItsDirection) {
  Fill();
  ASSERT_TRUE(Compare(Report("a", 100, 5e6), Report("b", 150, 7e6))) << said_;
  EXPECT_NE(Line("operations a second").find("+50.0 %  better, more than noise"), std::string::npos)
      << said_;
  EXPECT_NE(Line("handshake p50").find("worse, more than noise"), std::string::npos) << said_;
}

// A percentile of all, and one of each second, may go opposite ways: the test is of the seconds.
TEST_F(CompareTest, IsTheVerdictThatOfWhatWasTested) {
  Fill();
  std::string before = Report("a", 100, 5e6);
  std::string after = Report("b", 100, 7e6);
  json_t *report = json_load_file(after.c_str(), 0, nullptr);
  json_t *phases = json_object_get(report, "phases");
  json_object_set_new(json_object_get(phases, "handshake"), "p50_us", json_real(4000));
  json_dump_file(report, after.c_str(), 0);
  json_decref(report);
  ASSERT_TRUE(Compare(before, after)) << said_;
  EXPECT_NE(
      Line("handshake p50").find("worse, more than noise, by its seconds; not by the whole run"),
      std::string::npos)
      << said_;
  EXPECT_EQ(Line("handshake p90").find("by its seconds"), std::string::npos) << said_;
}

TEST_F(CompareTest, AreErrorsComparedByTheirShare) {
  Fill();
  std::string before = Report("a", 100, 5e6);
  result_->stats.counts.errors = 200;
  ASSERT_TRUE(Compare(before, Report("b", 100, 5e6))) << said_;
  EXPECT_NE(Line("errors, of 100 attempts").find("worse, more than noise"), std::string::npos)
      << said_;
}

TEST_F(CompareTest, AreOtherOptionsTold) {
  Fill();
  std::string before = Report("a", 100, 5e6);
  options_->connections = 77;
  ASSERT_TRUE(Compare(before, Report("b", 100, 5e6)));
  EXPECT_NE(said_.find("differs: connections was 4 and is 77"), std::string::npos) << said_;
}

TEST_F(CompareTest, IsWhatOneOfThemLacksTold) {
  Fill();
  std::string without = Report("a", 100, 5e6);
  options_->workload = WORKLOAD_RAW;
  options_->send = "PING";
  options_->expect_bytes = 4;
  options_->cert = "client.pem";
  options_->headers[0] = "A: b";
  options_->num_headers = 1;
  std::string with = Report("b", 100, 5e6);
  for (bool forth : {true, false}) {
    ASSERT_TRUE(forth ? Compare(without, with) : Compare(with, without));
    for (const char *name : {"send", "expect_bytes", "cert", "headers", "workload"}) {
      EXPECT_NE(said_.find("differs: " + std::string(name) + " was "), std::string::npos) << said_;
    }
  }
  EXPECT_NE(said_.find("differs: send was \"PING\" and is nothing"), std::string::npos) << said_;
}

TEST_F(CompareTest, IsNothingOfAFileATerminalsCommand) {
  Fill();
  std::string before = Report("a", 100, 5e6);
  for (const char *name : {"a", "b"}) {
    std::ofstream(Path(name)) << "{\"schema\":\"tlsagent-load/1\",\"series\":[],\"phases\":{},"
                                 "\"operations\":1,\"seconds\":1,\"options\":{\"\\u001b[2J"
                              << name << "\":\"\xc2\x9b" << name << "\xe2\x80\xae\"}}";
  }
  ASSERT_TRUE(Compare(Path("a"), Path("b")));
  EXPECT_NE(said_.find("differs: \"\\u001B[2Ja\" was \"\\u009Ba\\u202E\" and is nothing"),
            std::string::npos)
      << said_;
  EXPECT_NE(said_.find("differs: \"\\u001B[2Jb\" was nothing"), std::string::npos) << said_;
  for (char byte : said_) {
    EXPECT_TRUE(byte == '\n' || (byte >= ' ' && byte <= '~')) << said_;
  }
}

TEST_F(CompareTest, IsAShortRunSaidToBeTooShort) {
  Fill();
  std::string before = Report("a", 100, 5e6);
  result_->num_samples = 3;
  ASSERT_TRUE(Compare(before, Report("b", 150, 5e6)));
  EXPECT_NE(Line("operations a second").find("too few seconds"), std::string::npos) << said_;
}

TEST_F(CompareTest, IsWhatIsNoReportRefused) {
  Fill();
  std::string good = Report("good", 100, 5e6);
  for (const char *text : {"", "{", "[]", "{\"schema\": 5}", "{\"schema\": \"other/1\"}", "7",
                           "{\"schema\":\"tlsagent-load/1\",\"schema\":\"tlsagent-load/1\"}",
                           "{\"schema\":\"tlsagent-load/1\"}",
                           "{\"schema\":\"tlsagent-load/1\",\"series\":5,\"phases\":[],"
                           "\"operations\":\"many\",\"options\":null}"}) {
    std::ofstream(Path("bad")) << text;
    EXPECT_FALSE(Compare(good, Path("bad"))) << text;
    EXPECT_FALSE(Compare(Path("bad"), good)) << text;
    EXPECT_NE(said_.find("/bad: "), std::string::npos) << said_;
  }
  EXPECT_FALSE(Compare(good, Path("none")));
  // Fields that aren't there, or are of another kind, are left out.
  std::ofstream(Path("odd"))
      << "{\"schema\":\"tlsagent-load/1\",\"series\":[7],\"phases\":{\"close\":"
         "3},\"operations\":1,\"seconds\":1,\"options\":{}}";
  EXPECT_TRUE(Compare(Path("odd"), Path("odd"))) << said_;
}

}  // namespace
