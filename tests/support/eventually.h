// Waiting for what other threads bring about.
#ifndef TLSAGENT_TESTS_SUPPORT_EVENTUALLY_H_
#define TLSAGENT_TESTS_SUPPORT_EVENTUALLY_H_

#include <chrono>
#include <functional>
#include <thread>

// What is late by so much doesn't come.
constexpr int kPatienceMs = 30000;

// Waits until the condition holds; false when the patience is over and it doesn't.
inline bool Eventually(const std::function<bool()> &condition) {
  for (int waited = 0; waited < kPatienceMs; waited++) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

#endif  // TLSAGENT_TESTS_SUPPORT_EVENTUALLY_H_
