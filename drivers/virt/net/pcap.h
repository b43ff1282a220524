// The format of captures that tcpdump and Wireshark read, with nanoseconds. draft-ietf-opsawg-pcap:
// "General File Structure", "Packet Record".
#pragma once

#include "lib/bits.h"

#define NET_PCAP_FILE   24 // bytes of the file's header
#define NET_PCAP_RECORD 16 // ... and of each record's

void net_pcap_file(uint8_t header[NET_PCAP_FILE], uint32_t snap);

// A frame of `length` bytes, the first `captured` of which are kept, at `now` (nanoseconds since
// 1970).
void net_pcap_record(uint8_t header[NET_PCAP_RECORD], uint64_t now, uint32_t captured,
                     uint32_t length);
