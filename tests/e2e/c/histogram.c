// What tlsagent-load's histogram makes of the values of go/hdr/main.go.
#include "client/load/histogram.h"

int main(void) {
  static const double percents[] = {1, 10, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100};
  struct histogram histogram;
  if (!histogram_init(&histogram, 1, 3600000000, 3)) {
    return 1;
  }
  uint64_t state = 42;
  for (unsigned i = 0; i < 200000; i++) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    histogram_record(&histogram, (state >> 33) % (1ULL << (i % 31 + 1)));
  }
  for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
    printf("p%g %llu\n", percents[i],
           (unsigned long long)histogram_percentile(&histogram, percents[i]));
  }
  printf("max %llu\n", (unsigned long long)histogram_max(&histogram));
  printf("total %llu\n", (unsigned long long)histogram.total);
  printf("mean %.6f\n", histogram_mean(&histogram));
  printf("stddev %.6f\n", histogram_stddev(&histogram));
  histogram_cleanup(&histogram);
  return 0;
}
