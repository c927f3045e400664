// Does the command line mean what it says?

#include <gtest/gtest.h>

#include <string>
#include <vector>

extern "C" {
#include "client/cli/options.h"
}

namespace {

struct Options {
  bool flag;
  const char *text;
  const char *string;
  uint32_t number;
  uint32_t size;
  uint32_t seconds;
  uint32_t version;
};

const option_row kRows[] = {
    {"flag", 'f', OPTION_FLAG, offsetof(Options, flag), nullptr, "a flag"},
    {"text", 0, OPTION_TEXT, offsetof(Options, text), "TEXT", "a text"},
    {"string", 0, OPTION_STRING, offsetof(Options, string), "STRING", "a text that may be empty"},
    {"number", 'n', OPTION_NUMBER, offsetof(Options, number), "N", "a number"},
    {"size", 0, OPTION_SIZE, offsetof(Options, size), "N", "a size"},
    {"seconds", 0, OPTION_SECONDS, offsetof(Options, seconds), "S", "seconds"},
    {"version", 0, OPTION_VERSION, offsetof(Options, version), "V", "a version"},
};

struct Parsed {
  std::vector<std::string> words;  // what the options point into
  int code = EXIT_OK;
  bool help = false;
  cli global = {};
  Options options = {};
  std::vector<std::string> arguments;
  std::string said;
};

Parsed Parse(std::vector<std::string> words, bool verbatim = false) {
  Parsed parsed;
  parsed.words = std::move(words);
  command command = {};
  command.name = "test";
  command.arguments = "";
  command.verbatim = verbatim;
  command.options = kRows;
  command.num_options = sizeof(kRows) / sizeof(kRows[0]);
  std::vector<char *> argv;
  for (std::string &word : parsed.words) {
    argv.push_back(&word[0]);
  }
  int argc = static_cast<int>(argv.size());
  parsed.global.command = "test";
  testing::internal::CaptureStderr();
  parsed.code =
      parse_options(&command, &parsed.global, &parsed.options, &argc, argv.data(), &parsed.help);
  parsed.said = testing::internal::GetCapturedStderr();
  for (int i = 0; i < argc; i++) {
    parsed.arguments.push_back(argv[static_cast<size_t>(i)]);
  }
  return parsed;
}

TEST(Options, AreTheyUnderstoodInEveryForm) {
  const Parsed parsed = Parse({"one", "--flag", "--number=7", "-n8", "two", "--seconds", "1.5",
                               "--version", "1.3", "--size", "0"});
  EXPECT_EQ(parsed.code, EXIT_OK) << parsed.said;
  EXPECT_TRUE(parsed.options.flag);
  EXPECT_EQ(parsed.options.number, 8U);
  EXPECT_EQ(parsed.options.seconds, 1500U);
  EXPECT_EQ(parsed.options.version, 772U);
  EXPECT_EQ(parsed.arguments, (std::vector<std::string>{"one", "two"}));
}

TEST(Options, AreWordsAfterAVerbatimCommandItsOwn) {
  const Parsed parsed = Parse({"--flag", "run", "--number=0", "--", "-x"}, true);
  EXPECT_EQ(parsed.code, EXIT_OK) << parsed.said;
  EXPECT_TRUE(parsed.options.flag);
  EXPECT_EQ(parsed.arguments, (std::vector<std::string>{"run", "--number=0", "--", "-x"}));
  EXPECT_EQ(Parse({"--", "--run", "--flag"}, true).arguments,
            (std::vector<std::string>{"--run", "--flag"}));
}

TEST(Options, AreGlobalOnesTakenAnywhere) {
  const Parsed parsed = Parse({"x", "--json", "-S", "unix:/a", "--timeout=2"});
  EXPECT_EQ(parsed.code, EXIT_OK);
  EXPECT_TRUE(parsed.global.json);
  EXPECT_STREQ(parsed.global.socket, "unix:/a");
  EXPECT_EQ(parsed.global.timeout_ms, 2000U);
}

TEST(Options, DoTwoDashesEndThem) {
  const Parsed parsed = Parse({"--flag", "--", "--flag", "-x", "-"});
  EXPECT_EQ(parsed.code, EXIT_OK);
  EXPECT_EQ(parsed.arguments, (std::vector<std::string>{"--flag", "-x", "-"}));
}

TEST(Options, IsHelpAskedForInBothWays) {
  EXPECT_TRUE(Parse({"--help"}).help);
  EXPECT_TRUE(Parse({"-h"}).help);
}

TEST(Options, IsAnUnknownOneAnErrorWithAHint) {
  const Parsed typo = Parse({"--numbr", "7"});
  EXPECT_EQ(typo.code, EXIT_USAGE);
  EXPECT_EQ(typo.said,
            "tlsagent test: unknown option --numbr (did you mean --number?); "
            "`tlsagent test --help` lists them\n");
  const Parsed strange = Parse({"--nothing-of-the-kind"});
  EXPECT_EQ(strange.code, EXIT_USAGE);
  EXPECT_EQ(strange.said.find("did you mean"), std::string::npos) << strange.said;
  EXPECT_EQ(Parse({"-Z"}).code, EXIT_USAGE);
}

TEST(Options, IsAValueOfTheWrongKindAnError) {
  for (const char *words : {"--number=0", "--number=x", "--number=", "--number=-1",
                            "--number=4294967296", "--size=1k", "--seconds=0", "--seconds=nan",
                            "--seconds=1e9", "--version=2.0", "--version=1.30", "--flag=yes"}) {
    const Parsed parsed = Parse({words});
    EXPECT_EQ(parsed.code, EXIT_USAGE) << words;
    EXPECT_NE(parsed.said, "") << words;
  }
  EXPECT_EQ(Parse({"--text"}).said, "tlsagent test: --text needs a text: --text TEXT\n");
}

TEST(Options, IsAnEmptyTextNotTakenForNone) {
  for (const std::vector<std::string> &words :
       {std::vector<std::string>{"--text="}, {"--text", ""}, {"--socket="}, {"-S", ""}}) {
    const Parsed parsed = Parse(words);
    EXPECT_EQ(parsed.code, EXIT_USAGE) << words[0];
    EXPECT_NE(parsed.said, "") << words[0];
  }
  EXPECT_EQ(Parse({"--text", ""}).said, "tlsagent test: --text takes a text, not \"\"\n");
  const Parsed string = Parse({"--string", ""});
  EXPECT_EQ(string.code, EXIT_OK);
  EXPECT_STREQ(string.options.string, "");
}

TEST(Options, IsAVersionKnownByItsUsualNames) {
  for (const char *word : {"1.2", "tls1.2", "TLS1.2", "TLSv1.2", "v1.2"}) {
    EXPECT_EQ(Parse({"--version", word}).options.version, 771U) << word;
  }
}

}  // namespace
