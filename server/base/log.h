// The log: one line per event to standard error, as text, as JSON, or with journald's priorities.
//
// Nothing secret is ever an argument: no key, password, token, plaintext or key material.
#ifndef TLSAGENT_SERVER_BASE_LOG_H_
#define TLSAGENT_SERVER_BASE_LOG_H_

#ifdef __cplusplus
extern "C" {
#endif

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_format {
  LOG_FORMAT_TEXT,     // 2026-01-02T15:04:05.123Z info  message
  LOG_FORMAT_JSON,     // {"time":"…","level":"info","message":"…"}
  LOG_FORMAT_JOURNALD  // <6>message
};

// log_setup chooses the format and the least important level that is still written. Call it before
// threads start.
void log_setup(enum log_format format, enum log_level level);

// log_write writes one line. Any thread may call it; lines never mix. It never waits for a reader:
// lines that a full pipe has no room for are lost. Control characters in the
// message are written as \xNN, so that no peer can forge a line.
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define LOG_ERROR(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARNING(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define LOG_INFO(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_LOG_H_
