// Running something on a worker's thread, and waiting for it.
#ifndef TLSAGENT_TESTS_SUPPORT_ERRAND_H_
#define TLSAGENT_TESTS_SUPPORT_ERRAND_H_

#include <condition_variable>
#include <functional>
#include <mutex>

#include "server/base/list.h"
#include "server/ring/worker.h"

struct Errand {
  struct message message = {};
  const std::function<void()> *run = nullptr;
  std::mutex lock;
  std::condition_variable changed;
  bool done = false;
};

inline void RunErrand(struct message *message) {
  Errand *errand = LIST_ENTRY(message, Errand, message);
  (*errand->run)();
  std::lock_guard<std::mutex> hold(errand->lock);
  errand->done = true;
  errand->changed.notify_all();
}

inline void RunOn(struct worker *worker, const std::function<void()> &run) {
  Errand errand;
  errand.run = &run;
  errand.message.run = RunErrand;
  worker_post(worker, &errand.message);
  std::unique_lock<std::mutex> hold(errand.lock);
  errand.changed.wait(hold, [&] { return errand.done; });
}

#endif  // TLSAGENT_TESTS_SUPPORT_ERRAND_H_
