#include "server/tls/settings.h"

#include "tests/unit/tls/harness.h"

namespace {

class SettingsTest : public TlsTest {
 protected:
  // What a context of this kind would have after the change.
  tls_settings Merged(Change &change, tls_context_kind kind = TLS_CONTEXT_BOTH) {
    tls_settings settings;
    settings_default(kind, &settings);
    EXPECT_EQ(settings_merge(&settings, &change.get()->settings, arena_).code, STATUS_OK);
    return settings;
  }
  status_code Check(Change &change, tls_context_kind kind = TLS_CONTEXT_BOTH) {
    tls_settings merged = Merged(change, kind);
    tls_error_clear(&error_);
    return settings_check(&change.get()->settings, &merged, &error_).code;
  }
  void ExpectRefused(status_code code, const char *item, const char *text) {
    EXPECT_EQ(code, STATUS_INVALID_ARGUMENT) << item;
    EXPECT_STREQ(error_.item, item);
    EXPECT_NE(std::string(error_.detail).find(text), std::string::npos) << error_.detail;
  }
  Arena arena_;
  tls_error error_;
};

TEST_F(SettingsTest, IsEveryNumberOutOfRangeNamed) {
  struct Row {
    const char *item;
    std::function<void(Change &)> set;
  };
  const Row rows[] = {
      {"settings.min_version", [](Change &c) { c.Set(TLS_SET_MIN_VERSION).min_version = 5; }},
      {"settings.max_version", [](Change &c) { c.Set(TLS_SET_MAX_VERSION).max_version = 0x305; }},
      {"settings.min_version", [](Change &c) { c.Versions(0x304, 0x303); }},
      {"settings.verify_mode", [](Change &c) { c.Verify(static_cast<tls_verify_mode>(0)); }},
      {"settings.verify_depth", [](Change &c) { c.Set(TLS_SET_VERIFY_DEPTH).verify_depth = 101; }},
      {"settings.verify_depth", [](Change &c) { c.Set(TLS_SET_VERIFY_DEPTH).verify_depth = -1; }},
      {"settings.num_tickets", [](Change &c) { c.Set(TLS_SET_NUM_TICKETS).num_tickets = 256; }},
      {"settings.num_tickets",
       [](Change &c) { c.Set(TLS_SET_NUM_TICKETS).num_tickets = SIZE_MAX; }},
      {"settings.session_id_context",
       [](Change &c) {
         c.Set(TLS_SET_SESSION_ID_CONTEXT).session_id_context =
             Slice("123456789012345678901234567890123");
       }},
      {"settings.session_timeout_seconds",
       [](Change &c) { c.Set(TLS_SET_SESSION_TIMEOUT).session_timeout = -1; }},
      {"settings.session_cache_size",
       [](Change &c) { c.Set(TLS_SET_SESSION_CACHE_SIZE).session_cache_size = 1 << 30; }},
      {"settings.security_level",
       [](Change &c) { c.Set(TLS_SET_SECURITY_LEVEL).security_level = 6; }},
      {"settings.alpn.protocols[1]",
       [](Change &c) {
         c.Alpn({"h2", ""});
       }},
      {"settings.alpn.protocols[0]", [](Change &c) { c.Alpn({std::string(256, 'x')}); }},
      {"settings.alpn.protocols[255]",
       [](Change &c) { c.Alpn(std::vector<std::string>(300, std::string(255, 'x'))); }},
  };
  for (const Row &row : rows) {
    Change change;
    row.set(change);
    EXPECT_EQ(Check(change), STATUS_INVALID_ARGUMENT) << row.item;
    EXPECT_STREQ(error_.item, row.item);
    EXPECT_STRNE(error_.text, "");
  }
}

TEST_F(SettingsTest, IsWhatAKindHasNoUseForRefused) {
  struct Row {
    tls_context_kind kind;
    const char *item;
    std::function<void(Change &)> set;
  };
  const Row rows[] = {
      {TLS_CONTEXT_CLIENT, "settings.decisions.server_name",
       [](Change &c) { c.Set(TLS_SET_DECISIONS).decisions.server_name = true; }},
      {TLS_CONTEXT_CLIENT, "settings.decisions.psk_server",
       [](Change &c) { c.Set(TLS_SET_DECISIONS).decisions.psk_server = true; }},
      {TLS_CONTEXT_CLIENT, "settings.psk_identity_hint",
       [](Change &c) { c.Set(TLS_SET_PSK_HINT).psk_hint = ""; }},
      {TLS_CONTEXT_SERVER, "settings.decisions.psk_client",
       [](Change &c) { c.Set(TLS_SET_DECISIONS).decisions.psk_client = true; }},
  };
  for (const Row &row : rows) {
    Change change;
    row.set(change);
    tls_error_clear(&error_);
    ExpectRefused(settings_check_kind(row.kind, &change.get()->settings, &error_).code, row.item,
                  row.kind == TLS_CONTEXT_CLIENT ? "client" : "server");
    EXPECT_EQ(settings_check_kind(TLS_CONTEXT_BOTH, &change.get()->settings, &error_).code,
              STATUS_OK);
    change.Set(TLS_SET_DECISIONS).decisions = {};
  }
}

TEST_F(SettingsTest, HasAHintOneLength) {
  std::string longest(256, 'h');
  Change change;
  change.Set(TLS_SET_PSK_HINT).psk_hint = longest.c_str();
  EXPECT_EQ(Check(change), STATUS_OK);
  longest += 'h';
  change.Set(TLS_SET_PSK_HINT).psk_hint = longest.c_str();
  ExpectRefused(Check(change), "settings.psk_identity_hint", "257 bytes");
}

TEST_F(SettingsTest, IsAHugeListRefused) {
  std::string huge(70000, 'A');
  Change change;
  change.Ciphers(huge.c_str());
  ExpectRefused(Check(change), "settings.ciphers", "longer than");
}

TEST_F(SettingsTest, IsANameCheckWithoutVerificationRefusedEitherWay) {
  Change off;
  off.Verify(TLS_VERIFY_NONE);
  ExpectRefused(Check(off, TLS_CONTEXT_CLIENT), "settings.check_hostname",
                "set check_hostname to false as well");
  off.CheckHostname(false);
  EXPECT_EQ(Check(off, TLS_CONTEXT_CLIENT), STATUS_OK);
  Change on;
  on.CheckHostname(true);
  ExpectRefused(Check(on, TLS_CONTEXT_BOTH), "settings.check_hostname", "set verify_mode to");
  on.Verify(TLS_VERIFY_OPTIONAL);
  EXPECT_EQ(Check(on, TLS_CONTEXT_BOTH), STATUS_OK);
}

TEST_F(SettingsTest, IsAlpnWrittenAsOnTheWire) {
  Change change;
  change.Alpn({"h2", "http/1.1"});
  tls_settings settings = Merged(change);
  slice wire;
  ASSERT_EQ(settings_alpn_wire(&settings, arena_, &wire).code, STATUS_OK);
  EXPECT_EQ(String(wire), "\x02h2\x08http/1.1");
}

TEST_F(SettingsTest, IsEverythingCopied) {
  tls_settings settings = {};
  {
    std::string ciphers = "ALL";
    Change change;
    change.Ciphers(ciphers.c_str()).Alpn({"h2"});
    ASSERT_EQ(settings_merge(&settings, &change.get()->settings, arena_).code, STATUS_OK);
    ciphers = "???";
  }
  EXPECT_STREQ(settings.ciphers, "ALL");
  EXPECT_EQ(String(settings.alpn[0]), "h2");
  Arena small(16);
  Change change;
  change.Ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(settings_merge(&settings, &change.get()->settings, small).code,
            STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
