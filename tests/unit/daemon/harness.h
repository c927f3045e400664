// What the tests of this folder share.
#ifndef TLSAGENT_TESTS_UNIT_DAEMON_HARNESS_H_
#define TLSAGENT_TESTS_UNIT_DAEMON_HARNESS_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/daemon/options.h"
#include "tests/support/eventually.h"
#include "tests/support/folder.h"

// A command line read, and what it printed.
struct CommandLine {
  explicit CommandLine(std::vector<std::string> arguments);
  enum options_outcome outcome;
  struct options options;
  std::string out;
  std::string err;

 private:
  std::vector<std::string> arguments_;  // options point into them
};

bool Exists(const std::string &path);
// A socket connected to a path, or to an abstract name ("@..."); -1 when there is nobody.
int ConnectTo(const std::string &address);
// A listening Unix socket that is not the daemon's doing.
int ListenAt(const std::string &address, int type = 1);

// Runs the function in a child process and returns how that ended, as waitpid(2) has it. For what
// changes the process for good.
int StatusOfChild(const std::function<int()> &run);
// Starts it and returns at once.
pid_t StartChild(const std::function<int()> &run);
// Waits for a child; kills it after a long time.
int WaitForChild(pid_t child);

#endif  // TLSAGENT_TESTS_UNIT_DAEMON_HARNESS_H_
