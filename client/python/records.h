// Where a TLS record ends (RFC 8446, section 5.1). Its length stands in its header, so that a whole
// one can be fetched by who knows nothing else of TLS.
#ifndef TLSAGENT_CLIENT_PYTHON_RECORDS_H_
#define TLSAGENT_CLIENT_PYTHON_RECORDS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RECORD_OVERHEAD = 5 + 256 };  // of a whole record: header, padding and tag

// record_missing returns how many bytes are missing at least of the first record in data, 0 when it
// is whole. What is no record at all counts as whole: it is to be refused, and waits for nothing.
size_t record_missing(const uint8_t *data, size_t len);

// records_whole returns the length of the whole records that data begins with; with what is no
// record, if that follows. A record that is fed in part is kept by the daemon, and then nobody here
// knows where the next one begins.
size_t records_whole(const uint8_t *data, size_t len);

// records_of_data returns the length of the records at the start of data that are whole, hold
// application data for sure and are together at most `most` long; 0 when there are none. In TLS 1.3
// an alert looks like data but for its length: a short record doesn't count.
size_t records_of_data(const uint8_t *data, size_t len, size_t most);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_PYTHON_RECORDS_H_
