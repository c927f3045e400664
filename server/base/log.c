#include "server/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A line of the longest message still fits a page, which is what a pipe that is ready has room for.
enum { MESSAGE_MAX = 960, LINE_MAX_BYTES = 4096 };

static enum log_format log_format_now = LOG_FORMAT_TEXT;
static enum log_level log_level_now = LOG_LEVEL_INFO;

static const struct {
  const char *name;
  const char *priority;  // sd-daemon(3)
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
    [LOG_LEVEL_WARNING] = {"warning", "<4>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

void log_setup(enum log_format format, enum log_level level) {
  log_format_now = format;
  log_level_now = level;
}

static void format_time(char *out, size_t size) {
  struct timespec now;
  struct tm utc;
  char seconds[32];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(out, size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

static bool is_plain(unsigned char c) {
  bool special_in_json = c == '"' || c == '\\';
  return c >= 0x20 && c != 0x7f && !(log_format_now == LOG_FORMAT_JSON && special_in_json);
}

// Writes one character of a message.
static size_t escape_char(char *out, size_t size, unsigned char c) {
  if (is_plain(c)) {
    out[0] = (char)c;
    return 1;
  }
  int len = log_format_now == LOG_FORMAT_JSON ? snprintf(out, size, "\\u%04x", c)
                                              : snprintf(out, size, "\\x%02x", c);
  return (size_t)len;
}

static void escape(char *out, size_t size, const char *message) {
  enum { LONGEST_ESCAPE = 7 };
  size_t used = 0;
  for (const char *c = message; *c != '\0' && used + LONGEST_ESCAPE < size; c++) {
    used += escape_char(out + used, size - used, (unsigned char)*c);
  }
  out[used] = '\0';
}

static int format_line(char *line, size_t size, enum log_level level, const char *message) {
  char when[64];
  format_time(when, sizeof(when));
  switch (log_format_now) {
    case LOG_FORMAT_JSON:
      return snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n", when,
                      levels[level].name, message);
    case LOG_FORMAT_JOURNALD:
      return snprintf(line, size, "%s%s\n", levels[level].priority, message);
    case LOG_FORMAT_TEXT:
      break;
  }
  return snprintf(line, size, "%s %-7s %s\n", when, levels[level].name, message);
}

// A reader that has stopped reading loses lines: waiting for it would stop a worker. One write(2)
// per line keeps lines whole; a log that can't be written is nobody's to mend here.
static void put(const char *line, size_t len) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // what one saw, another mustn't use up
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  pthread_mutex_lock(&mutex);
  if (poll(&ready, 1, 0) == 1 && write(STDERR_FILENO, line, len) < 0) {
    // Nowhere to say so.
  }
  pthread_mutex_unlock(&mutex);
}

void log_write(enum log_level level, const char *format, ...) {
  if (level > log_level_now) {
    return;
  }
  char message[MESSAGE_MAX];
  char escaped[LINE_MAX_BYTES - 128];
  char line[LINE_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  escape(escaped, sizeof(escaped), message);
  int len = format_line(line, sizeof(line), level, escaped);
  if (len > 0) {
    put(line, (size_t)len);
  }
}
