#include "server/base/list.h"

#include <gtest/gtest.h>

#include <string>

namespace {

struct Item {
  char name;
  struct list link;
};

class List : public testing::Test {
 protected:
  void SetUp() override {
    list_init(&head_);
    for (size_t i = 0; i < 3; i++) {
      items_[i].name = (char)('a' + i);
      list_init(&items_[i].link);
    }
  }

  void PushAll() {
    for (Item &item : items_) {
      list_push_back(&head_, &item.link);
    }
  }

  std::string Names() {
    std::string names;
    LIST_FOR(link, &head_) {
      names += LIST_ENTRY(link, Item, link)->name;
    }
    return names;
  }

  struct list head_;
  Item items_[3];
};

TEST_F(List, IsANewListEmpty) {
  EXPECT_TRUE(list_empty(&head_));
  EXPECT_EQ("", Names());
  EXPECT_EQ(nullptr, list_pop_front(&head_));
}

TEST_F(List, IsTheOrderThatOfPushing) {
  PushAll();
  EXPECT_EQ("abc", Names());
}

TEST_F(List, DoesPushFrontComeFirst) {
  list_push_front(&head_, &items_[0].link);
  list_push_front(&head_, &items_[1].link);
  list_push_back(&head_, &items_[2].link);
  EXPECT_EQ("bac", Names());
}

TEST_F(List, CanAnyElementBeRemoved) {
  PushAll();
  list_remove(&items_[1].link);
  EXPECT_EQ("ac", Names());
  list_remove(&items_[0].link);
  EXPECT_EQ("c", Names());
  list_remove(&items_[2].link);
  EXPECT_TRUE(list_empty(&head_));
}

TEST_F(List, IsRemovingTwiceHarmless) {
  PushAll();
  list_remove(&items_[1].link);
  list_remove(&items_[1].link);
  EXPECT_EQ("ac", Names());
}

TEST_F(List, MayTheCurrentElementBeRemovedWhileWalking) {
  PushAll();
  LIST_FOR(link, &head_) {
    list_remove(link);
  }
  EXPECT_TRUE(list_empty(&head_));
}

TEST_F(List, DoesPopTakeTheFirstOut) {
  PushAll();
  struct list *first = list_pop_front(&head_);
  EXPECT_EQ('a', LIST_ENTRY(first, Item, link)->name);
  EXPECT_TRUE(list_empty(first));
  EXPECT_EQ("bc", Names());
}

}  // namespace
