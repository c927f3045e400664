#include "server/daemon/options.h"

#include <unistd.h>

#include "server/service/service.h"
#include "tests/unit/daemon/harness.h"

namespace {

TEST(Options, AreTheDefaultsThoseOfTheManual) {
  CommandLine line({});
  struct limits limits;
  limits_default(&limits);
  ASSERT_EQ(OPTIONS_RUN, line.outcome);
  EXPECT_EQ(0u, line.options.num_listen);
  EXPECT_EQ(0u, line.options.num_allow_dial) << "nothing may be dialled";
  EXPECT_EQ((unsigned)sysconf(_SC_NPROCESSORS_ONLN), line.options.workers);
  EXPECT_EQ(0600u, line.options.mode) << "nobody else may connect";
  EXPECT_EQ(nullptr, line.options.group);
  EXPECT_EQ(30000000000u, line.options.drain_nanos);
  EXPECT_EQ(0, memcmp(&limits, &line.options.limits, sizeof(limits)));
  EXPECT_EQ(LOG_FORMAT_TEXT, line.options.log_format);
  EXPECT_FALSE(line.options.log_format_given);
  EXPECT_EQ(LOG_LEVEL_INFO, line.options.log_level);
  EXPECT_EQ("", line.out + line.err);
}

TEST(Options, IsEveryOneTaken) {
  CommandLine line({"--listen",
                    "unix:/run/a",
                    "--listen=unix:@b",
                    "--listen=tcp:[::1]:443",
                    "--listen-tls=key=/k,client-ca=/ca,cert=/c",
                    "--mode",
                    "0660",
                    "--group",
                    "adm",
                    "--workers",
                    "7",
                    "--limit",
                    "sessions=9",
                    "--limit",
                    "calls=8",
                    "--allow-dial",
                    "*.example.com:443",
                    "--allow-dial=[::1]:*",
                    "--drain-timeout",
                    "5",
                    "--log-format",
                    "json",
                    "--log-level",
                    "debug"});
  ASSERT_EQ(OPTIONS_RUN, line.outcome) << line.err;
  ASSERT_EQ(3u, line.options.num_listen);
  EXPECT_STREQ("unix:/run/a", line.options.listen[0]);
  EXPECT_STREQ("unix:@b", line.options.listen[1]);
  EXPECT_STREQ("tcp:[::1]:443", line.options.listen[2]);
  EXPECT_STREQ("/c", line.options.listen_tls.cert);
  EXPECT_STREQ("/k", line.options.listen_tls.key);
  EXPECT_STREQ("/ca", line.options.listen_tls.client_ca);
  EXPECT_EQ(0660u, line.options.mode);
  EXPECT_STREQ("adm", line.options.group);
  EXPECT_EQ(7u, line.options.workers);
  EXPECT_EQ(9u, line.options.limits.sessions);
  EXPECT_EQ(8u, line.options.limits.calls);
  ASSERT_EQ(2u, line.options.num_allow_dial);
  EXPECT_STREQ("*.example.com:443", line.options.allow_dial[0]);
  EXPECT_STREQ("[::1]:*", line.options.allow_dial[1]);
  EXPECT_EQ(5000000000u, line.options.drain_nanos);
  EXPECT_EQ(LOG_FORMAT_JSON, line.options.log_format);
  EXPECT_TRUE(line.options.log_format_given);
  EXPECT_EQ(LOG_LEVEL_DEBUG, line.options.log_level);
}

TEST(Options, IsANumberAtItsBoundsTaken) {
  for (const char *good : {"--workers=1", "--workers=256", "--mode=0", "--mode=777",
                           "--drain-timeout=0", "--drain-timeout=86400", "--log-format=text",
                           "--log-format=journald", "--log-level=error", "--log-level=warning"}) {
    EXPECT_EQ(OPTIONS_RUN, CommandLine({good}).outcome) << good;
  }
}

TEST(Options, IsWhatMakesNoSenseRefusedWithTheReason) {
  for (const char *wrong : {"--workers=0",
                            "--workers=257",
                            "--workers=x",
                            "--workers=",
                            "--workers=-1",
                            "--workers=1 ",
                            "--mode=888",
                            "--mode=1000",
                            "--mode=0x1f",
                            "--mode=-1",
                            "--group=",
                            "--limit=sessions",
                            "--limit=nothing=1",
                            "--limit=sessions=0",
                            "--limit=sessions=x",
                            "--allow-dial=host",
                            "--allow-dial=:443",
                            "--drain-timeout=86401",
                            "--drain-timeout=99999999999999999999",
                            "--drain-timeout=1s",
                            "--log-format=xml",
                            "--log-level=all",
                            "--listen=/run/a",
                            "--listen=unix:",
                            "--listen=tcp:1",
                            "--listen-tls=",
                            "--listen-tls=cert=/c,key=/k",
                            "--listen-tls=cert=/c,key=/k,client-ca=",
                            "--listen="}) {
    CommandLine line({wrong});
    EXPECT_EQ(OPTIONS_WRONG, line.outcome) << wrong;
    std::string option = std::string(wrong).substr(0, std::string(wrong).find('='));
    EXPECT_NE(std::string::npos, line.err.find(option)) << line.err;
    std::string argument = std::string(wrong).substr(option.size() + 1);
    EXPECT_NE(std::string::npos, line.err.find(argument)) << line.err;
    EXPECT_NE(std::string::npos, line.err.find("--help")) << line.err;
    EXPECT_EQ("", line.out);
  }
}

TEST(Options, IsAnUnknownOneNamed) {
  for (const char *wrong : {"--nonsense", "--nonsense=1", "-x", "-xy", "stray", "--help=1"}) {
    CommandLine line({wrong});
    EXPECT_EQ(OPTIONS_WRONG, line.outcome) << wrong;
    EXPECT_NE(std::string::npos, line.err.find(wrong)) << line.err;
  }
}

TEST(Options, IsAMissingArgumentSaid) {
  CommandLine line({"--listen"});
  EXPECT_EQ(OPTIONS_WRONG, line.outcome);
  EXPECT_NE(std::string::npos, line.err.find("--listen")) << line.err;
}

TEST(Options, IsOneTooManyRefused) {
  std::vector<std::string> listen(LISTEN_MAX, "--listen=unix:/a");
  std::vector<std::string> dial(ALLOW_DIAL_MAX, "--allow-dial=a:1");
  EXPECT_EQ(OPTIONS_RUN, CommandLine(listen).outcome);
  EXPECT_EQ(OPTIONS_RUN, CommandLine(dial).outcome);
  listen.push_back("--listen=unix:/a");
  dial.push_back("--allow-dial=a:1");
  EXPECT_EQ(OPTIONS_WRONG, CommandLine(listen).outcome);
  EXPECT_EQ(OPTIONS_WRONG, CommandLine(dial).outcome);
}

TEST(Options, DoesHelpTellOfEveryOption) {
  CommandLine line({"--help"});
  EXPECT_EQ(OPTIONS_SHOWN, line.outcome);
  EXPECT_EQ("", line.err);
  for (const char *option :
       {"--listen", "--mode", "--group", "--workers", "--limit", "--allow-dial", "--drain-timeout",
        "--log-format", "--log-level", "--kernel-tls", "--print-limits", "--help", "--version"}) {
    EXPECT_NE(std::string::npos, line.out.find(option)) << option;
  }
}

TEST(Options, IsKernelTlsOffUnlessItIsAskedFor) {
  EXPECT_FALSE(CommandLine({}).options.kernel_tls);
  CommandLine line({"--kernel-tls", "--workers=3"});
  EXPECT_EQ(OPTIONS_RUN, line.outcome);
  EXPECT_TRUE(line.options.kernel_tls);
  EXPECT_EQ(OPTIONS_WRONG, CommandLine({"--kernel-tls=yes"}).outcome);
}

TEST(Options, IsTheVersionOneLine) {
  CommandLine line({"--version"});
  EXPECT_EQ(OPTIONS_SHOWN, line.outcome);
  EXPECT_EQ("tlsagentd " TLSAGENT_VERSION "\n", line.out);
}

TEST(Options, DoTheLimitsPrintedHoldWhatWasSet) {
  CommandLine line({"--print-limits", "--limit", "sessions=4321"});
  EXPECT_EQ(OPTIONS_SHOWN, line.outcome);
  for (const char *text :
       {"sessions ", " 4321 ", "connections_per_owner", "resolver_queue", "sum"}) {
    EXPECT_NE(std::string::npos, line.out.find(text)) << text;
  }
}

// The column of memory adds up to its last line, but for what rounding takes.
TEST(Options, DoTheLimitsPrintedAddUp) {
  CommandLine line({"--print-limits", "--workers=3"});
  unsigned long long sum = 0;
  unsigned long long said = 0;
  size_t rows = 0;
  size_t at = 0;
  while (at < line.out.size()) {
    size_t end = line.out.find('\n', at);
    char name[64];
    char value[64];
    unsigned long long kib = 0;
    std::string text = line.out.substr(at, end - at);
    if (sscanf(text.c_str(), "%63s %63s %llu", name, value, &kib) == 3) {
      sum += kib;
      rows++;
    } else {
      sscanf(text.c_str(), "sum %llu", &said);
    }
    at = end + 1;
  }
  EXPECT_EQ((size_t)LIMIT_COUNT + 1, rows);
  EXPECT_GE(said, sum);
  EXPECT_LE(said, sum + rows);
}

TEST(Options, IsAWrongLineNotHiddenByPrintLimits) {
  EXPECT_EQ(OPTIONS_WRONG, CommandLine({"--print-limits", "--workers=0"}).outcome);
}

}  // namespace
