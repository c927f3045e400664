// A client of a fake daemon that closes itself.
#ifndef TLSAGENT_TESTS_UNIT_CLIENT_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include "client/c/tlsagent.h"
#include "tests/unit/client/fake_daemon.h"

class Client {
 public:
  explicit Client(const FakeDaemon &daemon) {
    const tlsagent_client_options options = {daemon.address().c_str(), nullptr};
    client_ = tlsagent_client_open(&options, 5000, &error);
    EXPECT_NE(client_, nullptr) << error.message;
  }
  ~Client() {
    tlsagent_client_close(client_);
  }
  operator tlsagent_client *() const {
    return client_;
  }

  // Gives the connection to the test, which closes it.
  tlsagent_client *Release() {
    tlsagent_client *client = client_;
    client_ = nullptr;
    return client;
  }

  tlsagent_error error = {};

 private:
  tlsagent_client *client_;
};

#endif  // TLSAGENT_TESTS_UNIT_CLIENT_FIXTURE_H_
