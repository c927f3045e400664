#include "server/ring/mailbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

struct Numbered {
  message base = {};
  int sender = 0;
  int number = 0;
};

int NumberOf(message *base) {
  return reinterpret_cast<Numbered *>(base)->number;
}

TEST(Mailbox, IsAnEmptyOneEmpty) {
  mailbox box;
  mailbox_init(&box);
  EXPECT_EQ(nullptr, mailbox_take(&box));
}

TEST(Mailbox, DoMessagesComeOutInOrder) {
  mailbox box;
  mailbox_init(&box);
  std::vector<Numbered> messages(100);
  for (int i = 0; i < 100; i++) {
    messages[i].number = i;
    EXPECT_FALSE(mailbox_put(&box, &messages[i].base));
  }
  message *next = mailbox_take(&box);
  for (int i = 0; i < 100; i++) {
    ASSERT_NE(nullptr, next);
    EXPECT_EQ(i, NumberOf(next));
    next = next->next;
  }
  EXPECT_EQ(nullptr, next);
  EXPECT_EQ(nullptr, mailbox_take(&box));
}

TEST(Mailbox, IsASleeperWokenByExactlyOne) {
  mailbox box;
  mailbox_init(&box);
  Numbered messages[3];
  ASSERT_TRUE(mailbox_may_sleep(&box));
  EXPECT_TRUE(mailbox_put(&box, &messages[0].base));
  EXPECT_FALSE(mailbox_put(&box, &messages[1].base));
  mailbox_wake_up(&box);
  EXPECT_FALSE(mailbox_put(&box, &messages[2].base));
  // With a message there, there is no sleep.
  EXPECT_FALSE(mailbox_may_sleep(&box));
  mailbox_take(&box);
  EXPECT_TRUE(mailbox_may_sleep(&box));
}

// Many threads put, one takes; each sender's messages must arrive in order, and all of them.
TEST(Mailbox, IsNothingLostAndEachSenderInOrder) {
  const int kSenders = 4;
  const int kEach = 20000;
  mailbox box;
  mailbox_init(&box);
  std::vector<std::vector<Numbered>> messages(kSenders, std::vector<Numbered>(kEach));
  std::vector<std::thread> threads;
  for (int sender = 0; sender < kSenders; sender++) {
    threads.emplace_back([&, sender] {
      for (int i = 0; i < kEach; i++) {
        messages[sender][i].sender = sender;
        messages[sender][i].number = i;
        mailbox_put(&box, &messages[sender][i].base);
      }
    });
  }
  std::vector<int> expected(kSenders, 0);
  for (int received = 0; received < kSenders * kEach;) {
    for (message *next = mailbox_take(&box); next != nullptr; received++) {
      Numbered *numbered = reinterpret_cast<Numbered *>(next);
      next = next->next;
      ASSERT_EQ(expected[numbered->sender], numbered->number);
      expected[numbered->sender]++;
    }
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
}

}  // namespace
