#include "client/load/report.h"

#include <jansson.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/load/result_fixture.h"

namespace {

class ReportTest : public ResultTest {
 protected:
  json_t *Json() {
    std::string text = Written([&](FILE *out) { EXPECT_TRUE(report_json(result_.get(), out)); });
    json_error_t error;
    json_t *json = json_loads(text.c_str(), JSON_REJECT_DUPLICATES, &error);
    EXPECT_NE(json, nullptr) << error.text << "\n" << text;
    return json;
  }
  std::string Html() {
    return Written([&](FILE *out) { report_html(result_.get(), out); });
  }
};

size_t Count(const std::string &text, const std::string &what) {
  size_t num = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    num++;
  }
  return num;
}

TEST_F(ReportTest, DoesTheTextTellWhatHappened) {
  Fill();
  std::string text = Written([&](FILE *out) { report_text(result_.get(), out); });
  for (const char *part :
       {"handshake of host<script>:443", "closed loop, 4 connections",
        "100 operations in 10.00 s: 10/s", "100 established (0 resumed), 3 failed",
        "TLSv1.3, TLS_AES_256_GCM_SHA384, x25519", "4.00 ms an operation",
        "refused: Connection refused", "3 errors"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST_F(ReportTest, IsTheJsonAsDocumented) {
  Fill();
  json_t *json = Json();
  EXPECT_STREQ(json_string_value(json_object_get(json, "schema")), "tlsagent-load/1");
  EXPECT_EQ(json_integer_value(json_object_get(json, "operations")), 100);
  EXPECT_EQ(json_number_value(json_object_get(json, "rate")), 10);
  const json_t *handshake = json_object_get(json_object_get(json, "phases"), "handshake");
  EXPECT_EQ(json_integer_value(json_object_get(handshake, "count")), 100);
  for (const char *name :
       {"min_us", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "stddev_us"}) {
    EXPECT_GT(json_number_value(json_object_get(handshake, name)), 0) << name;
  }
  EXPECT_NEAR(json_number_value(json_object_get(handshake, "p50_us")), 50000, 50);
  EXPECT_EQ(json_object_get(json_object_get(json, "phases"), "transfer"), nullptr);
  const json_t *connections = json_object_get(json, "connections");
  EXPECT_EQ(json_integer_value(json_object_get(connections, "failed")), 3);
  EXPECT_EQ(json_array_size(json_object_get(json, "series")), 10u);
  const json_t *error = json_array_get(json_object_get(json, "errors"), 0);
  EXPECT_STREQ(json_string_value(json_object_get(error, "kind")), "refused");
  EXPECT_EQ(json_integer_value(json_object_get(error, "count")), 2);
  json_decref(json);
}

TEST_F(ReportTest, IsTextOfAnyBytesKept) {
  Fill();
  options_->target = "h\xc3\xb6st:1";
  options_->sni = "\xff\\name";
  json_t *json = Json();
  EXPECT_STREQ(json_string_value(json_object_get(json, "target")), "h\xc3\xb6st:1");
  const json_t *sni = json_object_get(json_object_get(json, "options"), "sni");
  EXPECT_STREQ(json_string_value(sni), "\\xff\\x5cname");
  json_decref(json);
}

TEST_F(ReportTest, CanARunOfNothingBeReported) {
  json_t *json = Json();
  EXPECT_EQ(json_integer_value(json_object_get(json, "operations")), 0);
  json_decref(json);
  EXPECT_NE(Written([&](FILE *out) { report_text(result_.get(), out); }).find("0 operations"),
            std::string::npos);
  std::string html = Html();
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
}

TEST_F(ReportTest, HasTheCsvALineForEachSecond) {
  Fill();
  std::istringstream lines(Written([&](FILE *out) { report_csv(result_.get(), out); }));
  std::string line;
  size_t commas = 0;
  size_t num = 0;
  while (std::getline(lines, line)) {
    commas = num == 0 ? Count(line, ",") : commas;
    EXPECT_EQ(Count(line, ","), commas) << line;
    num++;
  }
  EXPECT_EQ(num, 11u);
}

TEST_F(ReportTest, IsThePageWholeAndNeedsNothingElse) {
  Fill();
  std::string html = Html();
  for (const char *part :
       {"<!DOCTYPE html>", "</html>", "Latency by percentile", "Rate and errors over time",
        "Phases", "prefers-color-scheme:dark", "name=\"viewport\""}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  for (const char *part : {"http://", "https://", "src=", "url(", "<script", "@import", "nan"}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(Count(html, "<svg"), Count(html, "</svg>"));
  EXPECT_EQ(Count(html, "<section>"), Count(html, "</section>"));
  EXPECT_EQ(Count(html, "<tr"), Count(html, "</tr>"));
}

TEST_F(ReportTest, IsWhatPeersSayNoMarkup) {
  Fill();
  std::string html = Html();
  EXPECT_NE(html.find("host&lt;script&gt;:443"), std::string::npos);
  EXPECT_NE(html.find("alert &lt;b&gt;&quot;bad&quot;&lt;/b&gt; &amp; worse"), std::string::npos);
}

TEST_F(ReportTest, IsASecondWithoutAnswersAGapInTheLatency) {
  Fill();
  std::string html = Html();
  size_t plot = html.find("Latency over time</title>");
  ASSERT_NE(plot, std::string::npos);
  size_t path = html.find("class=\"line", plot);
  std::string line = html.substr(path, html.find("/>", path) - path);
  EXPECT_EQ(Count(line, "M"), 2u) << line;
}

TEST_F(ReportTest, IsAFileThatCantBeWrittenTold) {
  Fill();
  options_->quiet = true;
  options_->json = "/nonexistent/report.json";
  EXPECT_FALSE(report_all(result_.get()));
}

TEST_F(ReportTest, IsEachPhaseAFileOfPercentiles) {
  Fill();
  std::string prefix = std::string(getenv("TEST_TMPDIR")) + "/run";
  options_->quiet = true;
  options_->hdr = prefix.c_str();
  EXPECT_TRUE(report_all(result_.get()));
  std::ifstream file(prefix + ".handshake.hdr");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("#[Max     =   100007.935, Total count    =          100]"),
            std::string::npos)
      << text.str();
  EXPECT_FALSE(std::ifstream(prefix + ".transfer.hdr").good());
}

}  // namespace
