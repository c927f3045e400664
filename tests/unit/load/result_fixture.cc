#include "tests/unit/load/result_fixture.h"

#include <cstdlib>

void ResultTest::SetUp() {
  options_->target = "host<script>:443";
  options_->connections = 4;
  options_->workers = 2;
  options_->duration_nanos = 10000000000;
  options_->path = "/";
  result_->options = options_.get();
  result_->engine = "own workers";
  result_->started = 1700000000;
  ASSERT_TRUE(stats_init(&result_->stats));
}

void ResultTest::TearDown() {
  result_cleanup(result_.get());
}

void ResultTest::Fill() {
  struct stats *stats = &result_->stats;
  for (uint64_t ms = 1; ms <= 100; ms++) {
    histogram_record(&stats->phases[PHASE_HANDSHAKE], ms * 1000000);
    histogram_record(&stats->phases[PHASE_OPERATION], ms * 1000000);
    histogram_record(&stats->phases[PHASE_CONNECT], ms * 1000);
  }
  stats->counts.operations = 100;
  stats->counts.opened = 103;
  stats->counts.established = 100;
  stats->counts.failed = 3;
  stats->counts.errors = 3;
  tally_note(&stats->tally, PHASE_CONNECT, "refused", "Connection refused");
  tally_note(&stats->tally, PHASE_HANDSHAKE, "tls", "alert <b>\"bad\"</b> & worse");
  tally_note(&stats->tally, PHASE_CONNECT, "refused", "Connection refused");
  result_->seconds = 10;
  result_->cpu_user = 0.3;
  result_->cpu_system = 0.1;
  result_->agreed = {true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "x25519", ""};
  result_->num_samples = 10;
  result_->samples = static_cast<struct sample *>(calloc(10, sizeof(struct sample)));
  for (size_t i = 0; i < 10; i++) {
    struct sample *sample = &result_->samples[i];
    sample->at = static_cast<double>(i) + 1;
    sample->seconds = 1;
    sample->counts.operations = i == 4 ? 0 : 11;
    sample->counts.errors = i == 4 ? 3 : 0;
    sample->phases[PHASE_OPERATION] = {i == 4 ? 0u : 11u, 50e6, 90e6, 99e6, 100e6};
    sample->phases[PHASE_HANDSHAKE] = sample->phases[PHASE_OPERATION];
    sample->cpu_seconds = 0.04;
  }
}

std::string ResultTest::Written(const std::function<void(FILE *)> &write) {
  char *text = nullptr;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  write(out);
  fclose(out);
  std::string written(text, len);
  free(text);
  return written;
}
