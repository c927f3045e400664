#include "tests/unit/tls/harness.h"

namespace {

class EngineNameTest : public TlsTest {
 protected:
  void SetUp() override {
    Change server = ServerChange();
    Change client = ClientChange();
    Change lax;
    lax.Verify(TLS_VERIFY_NONE).CheckHostname(false);
    server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
    lax_ = MakeContext(TLS_CONTEXT_CLIENT, lax);
  }
  Error Refused(const Context &context, const char *name) {
    const engine_config config = {ENGINE_CLIENT, name};
    engine *made = nullptr;
    Error error;
    EXPECT_EQ(engine_new(context.get(), &config, &made, &error).code, STATUS_INVALID_ARGUMENT);
    EXPECT_STREQ(error.item, "server_name");
    return error;
  }
  // The name that a server sees.
  std::string Seen(const Context &context, const char *name) {
    Ends ends(MakeClient(context, name), MakeServer(server_));
    ends.Shake();
    EXPECT_TRUE(ends.established()) << engine_error(ends.client.get())->verify_message;
    struct engine_negotiated agreed;
    EXPECT_EQ(engine_negotiated(ends.server.get(), arena_, &agreed).code, STATUS_OK);
    return agreed.server_name;
  }
  Context server_, client_, lax_;
  Arena arena_;
};

TEST_F(EngineNameTest, DoesTheServerSeeNamesAndNoAddresses) {
  EXPECT_EQ(Seen(client_, "host.test"), "host.test");
  EXPECT_EQ(Seen(client_, "host.test."), "host.test");
  EXPECT_EQ(Seen(client_, "127.0.0.1"), "");
  EXPECT_EQ(Seen(client_, "::1"), "");
  EXPECT_EQ(Seen(lax_, "whatever.test"), "whatever.test");
  EXPECT_EQ(Seen(lax_, nullptr), "");
}

TEST_F(EngineNameTest, IsANameNeededWhereItIsChecked) {
  EXPECT_STREQ(Refused(client_, nullptr).text, "check_hostname requires a server name");
}

TEST_F(EngineNameTest, AreMalformedNamesRefused) {
  for (const Context *context : {&client_, &lax_}) {
    for (const std::string &name :
         {std::string(""), std::string(".host.test"), std::string(256, 'a'),
          std::string("host test"), std::string("h\xc3\xb6st.test")}) {
      EXPECT_STRNE(Refused(*context, name.c_str()).text, "");
    }
  }
}

TEST_F(EngineNameTest, IsTheNameOfAServerNoMatter) {
  const engine_config config = {ENGINE_SERVER, ""};
  engine *made = nullptr;
  Error error;
  EXPECT_EQ(engine_new(server_.get(), &config, &made, &error).code, STATUS_OK);
  engine_free(made);
}

}  // namespace
