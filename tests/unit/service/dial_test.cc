// SessionService.Connect to where the daemon dials itself.
#include <sys/socket.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "tests/support/bomb.h"
#include "tests/unit/service/harness.h"

namespace {

class Dials : public Sessions {
 protected:
  Dials() {
    dial_patterns_ = {"127.0.0.1:*", "*.invalid:443", "aaa*:443"};
    listener_ = ListenTcp(&port_);
  }
  ~Dials() override {
    close(listener_);
  }
  Reply<V1(ConnectResponse)> Dial(const std::string &host, uint32_t port) {
    Way way;
    auto request = New<V1(ConnectRequest)>();
    request.context = client_context_;
    request.server_name = (char *)"host.test";
    request.transport = way.Dial(host, port).get();
    return client_->Call(request);
  }
  int listener_ = -1;
  uint16_t port_ = 0;
};

TEST_F(Dials, IsAnAllowedTargetDialled) {
  Way way;
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Dial("127.0.0.1", port_).get();
  uint32_t id = client_->Start(request);
  peer_ = ServerPeer(accept(listener_, nullptr, nullptr));
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, reply->progress->state)
      << "the dialled address is what is checked by default";
  EXPECT_STREQ("dial", Describe(reply->session)->transport);
  EXPECT_STREQ("", reply->negotiated->server_name) << "addresses aren't sent as SNI";
}

TEST_F(Dials, IsAnyOtherTargetRefused) {
  auto reply = Dial("127.0.0.2", port_);
  EXPECT_EQ(STATUS_PERMISSION_DENIED, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("--allow-dial")) << reply.message;
}

TEST_F(Dials, IsATargetThatIsNoneRefused) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Dial("", port_).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Dial("127.0.0.1", 0).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Dial("127.0.0.1", 65536).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Dial("127.0.0.1", 65536 + port_).code);
}

TEST_F(Dials, DoesAServerNotDial) {
  Way way;
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Dial("127.0.0.1", port_).get();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(request).code);
}

TEST_F(Dials, IsARefusedConnectionAnAnswer) {
  close(listener_);
  auto reply = Dial("127.0.0.1", port_);
  listener_ = ListenTcp(&port_);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(0u, reply->session);
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_OS, reply->progress->error->kind);
  EXPECT_EQ((uint32_t)ECONNREFUSED, reply->progress->error->os_errno);
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

TEST_F(Dials, IsAUserWhoseClosesHangGivenNoMoreSessionsToClose) {
  Bomb bomb;
  closer_close(getuid(), bomb.Release());
  for (int i = 0; i < CLOSER_HANGING_MAX; i++) {
    closer_close(getuid(), dup(STDERR_FILENO));
  }
  ASSERT_TRUE(Eventually([] { return closer_behind(getuid()); }));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Dial("127.0.0.1", port_).code);
  bomb.Defuse();
  ASSERT_TRUE(Eventually([] { return closer_pending(getuid()) == 0; }));
}

TEST_F(Dials, IsAnUnknownNameAnAnswer) {
  auto reply = Dial("no-such-host.invalid", 443);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_RESOLVE, reply->progress->error->kind);
  EXPECT_STRNE("", reply->progress->error->text);
  EXPECT_EQ(0u, reply->session);
}

TEST_F(Dials, IsANameThatCantBeOneAnAnswer) {
  auto reply = Dial(std::string(256, 'a'), 443);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID, reply->progress->error->kind);
  EXPECT_STRNE("", reply->progress->error->text);
}

// The connection is made, but nobody answers: the client's patience ends it.
TEST_F(Dials, DoesADeadlineEndADialledHandshake) {
  Way way;
  How how;
  how.timeout_nano = 30 * 1000 * 1000;
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Dial("127.0.0.1", port_).get();
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client_->Call(request, how).code);
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

TEST_F(Dials, DoesNothingStayOfAClientThatVanishesWhileDialling) {
  size_t before = NumOpenFds();
  for (int i = 0; i < 10; i++) {
    Client other = Connect();
    Way way;
    auto request = New<V1(ConnectRequest)>();
    request.context = ClientContext(other);
    request.transport =
        i % 2 == 0 ? way.Dial("127.0.0.1", port_).get() : way.Dial("slow.invalid", 443).get();
    request.server_name = (char *)"host.test";
    other.Start(request);
    other.Disconnect();
  }
  EXPECT_TRUE(Eventually([this] { return LivingSessions() == 0 && CountedSessions() == 0; }));
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
}

}  // namespace
