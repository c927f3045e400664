#include "client/load/assertion.h"

#include <cmath>

#include "tests/unit/load/result_fixture.h"

namespace {

class AssertionTest : public ResultTest {
 protected:
  bool Holds(const char *text) {
    struct assertion assertion;
    EXPECT_TRUE(assertion_parse(text, &assertion)) << text;
    double found = 0;
    return assertion_holds(&assertion, result_.get(), &found);
  }
};

TEST_F(AssertionTest, DoTheTrueOnesHold) {
  Fill();
  for (const char *text :
       {"handshake.p99<100ms", "handshake.p99 >= 98ms", "handshake.p50<51000", "errors==3",
        "rate==10", "operations>=100", "operations!=99", "handshake.count==100",
        "handshake.max<=0.101s", "handshake.min>900us", "handshake.mean<51ms", "connect.p999<1ms",
        "connect.p99.9<1ms", "connect.p97.5<99us", "handshake.stddev>1ms", "resumed==0",
        "cpu_per_operation<5ms", "operation.p100<101ms"}) {
    EXPECT_TRUE(Holds(text)) << text;
  }
}

TEST_F(AssertionTest, DoTheFalseOnesFail) {
  Fill();
  for (const char *text : {"handshake.p99<98ms", "errors==0", "rate>10", "operations<100",
                           "handshake.p50>51ms", "cpu_per_operation<1ms"}) {
    EXPECT_FALSE(Holds(text)) << text;
  }
}

// A phase that never was is no fast one.
TEST_F(AssertionTest, DoesNothingHoldOfWhatNeverWas) {
  EXPECT_FALSE(Holds("handshake.p99<20ms"));
  EXPECT_FALSE(Holds("transfer.mean>=0"));
  EXPECT_FALSE(Holds("cpu_per_operation<1s"));
  EXPECT_TRUE(Holds("handshake.count==0"));
  EXPECT_TRUE(Holds("errors==0"));
}

TEST_F(AssertionTest, IsNonsenseRefused) {
  for (const char *text :
       {"", "errors", "errors=0", "errors==", "errors==x", "==0", "handshake<1ms", "dance.p99<1ms",
        "handshake.p<1ms", "handshake.p1e1<1ms", "handshake.p0x10<1ms", "handshake.p101<1ms",
        "handshake.px<1ms", "handshake.median<1ms", "handshake.p99<1parsec", "errors==0ms",
        "handshake.p99<20ms<30ms",
        "a_name_so_long_that_no_figure_of_a_run_could_ever_have_it_however_long==0"}) {
    struct assertion assertion;
    EXPECT_FALSE(assertion_parse(text, &assertion)) << text;
  }
}

TEST_F(AssertionTest, IsThereNoNumberForWhatNeverWas) {
  for (const char *text : {"transfer.p99<1s", "cpu_per_operation<1s"}) {
    struct assertion assertion;
    double found = 0;
    ASSERT_TRUE(assertion_parse(text, &assertion));
    EXPECT_FALSE(assertion_holds(&assertion, result_.get(), &found));
    EXPECT_FALSE(std::isfinite(found)) << text << " is " << found;
  }
}

TEST_F(AssertionTest, IsThereANumberForWhatFailed) {
  Fill();
  struct assertion assertion;
  double found = 0;
  ASSERT_TRUE(assertion_parse("errors<3", &assertion));
  EXPECT_FALSE(assertion_holds(&assertion, result_.get(), &found));
  EXPECT_EQ(found, 3);
  EXPECT_FALSE(assertion_is_time(&assertion));
  ASSERT_TRUE(assertion_parse("handshake.max<3ms", &assertion));
  EXPECT_TRUE(assertion_is_time(&assertion));
}

}  // namespace
