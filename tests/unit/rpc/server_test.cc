#include "server/rpc/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace {

clock_time In(uint64_t milliseconds) {
  return clock_now() + milliseconds * NANOS_PER_MILLI;
}

class Server : public Rpc {
 protected:
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }
};

TEST_F(Server, IsOneThatDidNothingFreed) {
  Start();
}

TEST_F(Server, IsADrainWithNothingToDoDoneAtOnce) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  clock_time before = clock_now();
  EXPECT_EQ(0u, rpc_server_drain(server_, In(10000)));
  EXPECT_LT(clock_now() - before, 5000 * NANOS_PER_MILLI);
}

TEST_F(Server, DoesADrainLetCallsFinish) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Deaf", Any("60")}) + RequestFrame(3, {"DeafAway", Any("30")}));
  ASSERT_TRUE(Parked(2));
  EXPECT_EQ(0u, rpc_server_drain(server_, In(10000)));
  Stop();
  for (int i = 0; i < 2; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    EXPECT_EQ("rested", answer->type_url);
  }
}

TEST_F(Server, DoesADrainWaitForAnswersToBeSent) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Big", Any("3000000")}));
  ASSERT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.reply_bytes) > 0; }));
  std::thread reader([&client] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    EXPECT_EQ(3000000u, answer->value.size());
  });
  EXPECT_EQ(0u, rpc_server_drain(server_, In(20000)));
  Stop();
  reader.join();
}

TEST_F(Server, DoesADrainEndInTimeAndCountWhatIsLeft) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}) + RequestFrame(3, {"ParkAway"}));
  ASSERT_TRUE(Parked(2));
  EXPECT_EQ(2u, rpc_server_drain(server_, In(30)));
  EXPECT_EQ(2u, rpc_server_drain(server_, 0));
  Stop();
  EXPECT_EQ(0, Load(&g_parked));
  EXPECT_EQ(2, Load(&g_told));
}

TEST_F(Server, AreNewCallsUnavailableWhileItDrains) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}));
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ(1u, rpc_server_drain(server_, 0));
  Answer answer = client.Call(3, {"Echo"});
  EXPECT_EQ(STATUS_UNAVAILABLE, answer.code);
  EXPECT_EQ("the daemon is stopping and takes no new calls", answer.message);
}

TEST_F(Server, AreNoConnectionsAcceptedAfterADrain) {
  Start();
  rpc_server_drain(server_, In(1000));
  Client late(path_);  // the kernel queues it
  late.Send(RequestFrame(1, {"Echo"}));
  EXPECT_TRUE(late.Silent());
}

TEST_F(Server, DoesFreeEndEverything) {
  std::vector<Client> clients;
  for (int i = 0; i < 20; i++) {
    clients.push_back(Connect());
    clients.back().Send(RequestFrame(1, {"Park"}) + RequestFrame(3, {"ParkAway"}) +
                        RequestFrame(5, {"Deaf", Any("20")}) +
                        RequestFrame(7, {"Echo"}).substr(0, (size_t)i));
  }
  ASSERT_TRUE(Eventually([] { return Load(&g_parked) >= 50; }));
  Stop();
  EXPECT_EQ(0, Load(&g_parked));
  for (Client &client : clients) {
    EXPECT_TRUE(client.AtEnd());
  }
}

TEST_F(Server, AreTwoMethodsOfOneNameRefused) {
  Start();
  const struct method methods[] = {{"a.Service", "Get", &ttrpc__any__descriptor, nullptr},
                                   {"a.Service", "Get", &ttrpc__any__descriptor, nullptr}};
  struct rpc_config config = {};
  config.methods = methods;
  config.num_methods = 2;
  config.limits = &limits_;
  config.tenant = tenant_;
  config.workers = pool_;
  struct rpc_server *server = nullptr;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, rpc_server_new(&config, &server).code);
}

class ServerOfOne : public Server {
 protected:
  ServerOfOne() {
    num_workers_ = 1;
  }
};

TEST_F(ServerOfOne, DoesOneWorkerDo) {
  Client client = Connect();
  EXPECT_EQ("x", client.Call(1, {"Echo", Any("x")}).type_url);
  EXPECT_EQ("x", client.Call(3, {"Away", Any("x")}).type_url);  // moves to where it is
  client.Send(RequestFrame(5, {"ParkAway"}));
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ(1u, rpc_server_drain(server_, 0));
}

}  // namespace
